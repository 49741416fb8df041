//! The run directory and the data-set cache.
