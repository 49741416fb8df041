//! One answer as the scorer sees it.

use crate::record::request::{Outcome, OutputRecord, RequestError, RequestRecord};

/// One answer as the scorer sees it: never its reasoning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// Row of the data set.
    pub sample: u64,
    /// Text without reasoning.
    pub text: &'a str,
    /// Whether it was cut off at the length limit.
    pub cut_off: bool,
    /// Whether there is an answer at all.
    pub delivery: Delivery,
}

/// Whether there is an answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The engine answered; an empty answer is one.
    Answered,
    /// The request failed or was ended by `bench`.
    Failed,
}

impl Delivery {
    /// Returns whether a request brought an answer.
    ///
    /// A response that the engine ended without a token is an empty answer, not a failed request:
    /// the engine did what the model wanted. Otherwise a model could raise its accuracy by silence.
    pub(crate) fn of(record: &RequestRecord) -> Self {
        match record.outcome {
            Outcome::Ok | Outcome::Error(RequestError::Empty) => Self::Answered,
            Outcome::Error(_) | Outcome::Cancelled(_) => Self::Failed,
        }
    }
}

impl<'a> Answer<'a> {
    /// Joins a request's record with its stored output.
    pub(crate) fn of(record: &RequestRecord, output: &'a OutputRecord) -> Self {
        Self {
            sample: record.sample,
            text: &output.text,
            cut_off: record.finish.as_deref() == Some("length"),
            delivery: Delivery::of(record),
        }
    }
}
