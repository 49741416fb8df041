//! Numbers in, numbers out; knows nothing of language models.
//!
//! Every estimator names its source, and every test compares with a published value or with
//! one computed by another program.

pub(crate) mod change_point;
pub mod interval;
pub mod ks;
pub mod mean;
pub mod proportion;
pub mod quantile;
pub mod reservoir;
pub mod sequential;
pub mod special;
pub mod steady;
pub mod trend;
pub mod verdict;
pub mod welch;
