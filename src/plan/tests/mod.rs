//! Plans of whole scenarios.

mod scenarios;
