//! `[request]`, and what answers have to be like: `[slo]`, `[search]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scenario::grammar::Kind::{Above, Either, Integer, Number};
use crate::scenario::grammar::{Grammar, Kind, table, words};
use crate::scenario::spec::ONE_UP;
use crate::units::Nanos;

table! {
    /// `[request]`.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct RequestSpec {
        /// Which endpoint is asked.
        pub(crate) api: Api,
        /// URL path of the endpoint, where it is not the usual one.
        pub(crate) path: Option<String>,
        /// Whether answers are streamed.
        pub(crate) stream: bool,
        /// Longest answer; "from-data" for the data set's own lengths.
        pub(crate) max_tokens: MaxTokensSpec,
        /// Answers of exactly `max-tokens` tokens.
        pub(crate) ignore_eos: Option<bool>,
        /// 0 is greedy.
        pub(crate) temperature: f64 = Number(0.0, 100.0),
        /// Nucleus.
        pub(crate) top_p: f64 = Above(0.0, 1.0),
        /// Seed sent with each request.
        pub(crate) seed: Option<u64>,
        /// Strings that end an answer.
        pub(crate) stop: Vec<String>,
        /// A unique salt in front of each prompt, so that no prefix cache helps.
        pub(crate) salt: bool,
        /// Ask for log probabilities.
        pub(crate) logprobs: bool,
        /// Further body fields, verbatim.
        pub(crate) extra_body [default]: BTreeMap<String, serde_json::Value>,
    }
}

words! {
    /// Endpoints.
    pub enum Api {
        /// `/v1/chat/completions`: messages.
        Chat = "chat",
        /// `/v1/completions`: text or token ids.
        Completions = "completions",
    }
}

impl Api {
    /// Returns the path that requests go to, where the scenario names no other.
    pub(crate) const fn usual_path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
        }
    }

    /// Returns the other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Chat => Self::Completions,
            Self::Completions => Self::Chat,
        }
    }
}

/// Longest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a count or \"from-data\"")]
pub(crate) enum MaxTokensSpec {
    Tokens(u32),
    Word(FromData),
}

impl Grammar for MaxTokensSpec {
    const KIND: Kind = Either(&[ONE_UP, FromData::KIND]);
}

words! {
    /// As long as the data set's own answer.
    pub(crate) enum FromData {
        /// As many tokens as the row says, or as its own answer has.
        FromData = "from-data",
    }
}

table! {
    /// Service-level objectives: a request is good when it meets all of them.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Slo {
        /// Time to first token at most, from the scheduled send.
        pub ttft: Option<Nanos>,
        /// Time per output token at most.
        pub tpot: Option<Nanos>,
        /// Latency at most, from the scheduled send.
        pub e2e: Option<Nanos>,
    }
}

table! {
    /// How wide the bound of a number may be: what bench may have added to it or taken from it.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub struct ValidityLimits {
        /// Share of a number up to which its bound does not matter.
        pub ok_share: f64 = Above(0.0, 1.0),
        /// Length of time up to which the bound of a latency does not matter, whatever the share.
        pub ok_time: Nanos,
        /// Share of a number up to which its bound leaves it doubtful; beyond, it is INVALID.
        pub doubtful_share: f64 = Above(0.0, 1.0),
    }
}

table! {
    /// The search for the highest load that meets the objectives.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct SearchPlan {
        /// The searched key.
        pub over: SearchOver,
        /// First load that is tried.
        pub from: f64 = Above(0.0, 1e6),
        /// Highest load that is tried.
        pub to: f64 = Above(0.0, 1e6),
        /// Share of the scheduled requests that must be good.
        pub goodput: f64 = Above(0.0, 1.0),
        /// The search ends when its bounds are that near, relative to the lower one.
        pub precision: f64 = Above(0.0, 1.0),
        /// Loads that are tried at most.
        pub max_points [alias = "max-points"]: u32 = Integer(1, 100),
    }
}

words! {
    /// What a search changes.
    pub enum SearchOver {
        /// Streams of a closed loop.
        Concurrency = "concurrency",
        /// Requests per second of an open loop.
        Rate = "rate",
    }
}
