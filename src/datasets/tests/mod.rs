//! A hub and its answers, kind and unkind; files and their digests.

mod digest;
mod hub;
