//! Engines as processes: launch under a guardian, wait until ready, prove ownership, watch, stop.
