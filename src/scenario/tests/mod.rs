//! What a scenario says back to its author.

mod messages;
