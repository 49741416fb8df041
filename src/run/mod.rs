//! Conducts a plan and emits what happens.
