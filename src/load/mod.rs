//! The load generator: sends requests at their time and stamps what returns.
