//! Numbers in, numbers out; knows nothing of language models.
//!
//! Every estimator names its source, and every test compares with a published value or with
//! one computed by another program.

pub(crate) mod change_point;
pub(crate) mod dominance;
pub(crate) mod drift;
pub(crate) mod growing_queue;
pub(crate) mod interval;
pub(crate) mod mean;
pub(crate) mod proportion;
pub(crate) mod quantile;
pub(crate) mod reservoir;
pub(crate) mod sequential;
pub(crate) mod special;
pub(crate) mod steady;
pub(crate) mod trend;
pub(crate) mod verdict;
pub(crate) mod welch;
