//! What the parts of this room make of a run together.

mod scale;
