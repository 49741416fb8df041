//! One answer as the scorer sees it.

use crate::record::request::{Outcome, OutputRecord, RequestError, RequestRecord};

/// One answer as the scorer sees it: never its reasoning.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
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
pub enum Delivery {
    /// The engine answered; an empty answer is one.
    Answered,
    /// The request failed or was ended by `bench`.
    Failed,
}

impl<'a> Answer<'a> {
    /// Joins a request's record with its stored output.
    ///
    /// A response that the engine ended without a token is an empty answer, not a failed request:
    /// the engine did what the model wanted. Otherwise a model could raise its accuracy by silence.
    pub fn of(record: &RequestRecord, output: Option<&'a OutputRecord>) -> Self {
        let delivery = match record.outcome {
            Outcome::Ok | Outcome::Error(RequestError::Empty) => Delivery::Answered,
            Outcome::Error(_) | Outcome::Cancelled(_) => Delivery::Failed,
        };
        Self {
            sample: record.sample,
            text: output.map_or("", |output| &output.text),
            cut_off: record.finish.as_deref() == Some("length"),
            delivery,
        }
    }
}
