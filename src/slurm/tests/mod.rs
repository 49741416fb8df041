//! Tests of this room.

mod answers;
mod scripts;
