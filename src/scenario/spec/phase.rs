//! `[phase.NAME]`.

use serde::{Deserialize, Serialize};

use crate::record::trial::PhaseKind;
use crate::scenario::grammar::Kind::{Above, Bool, Choice, Either, Integer};
use crate::scenario::grammar::{Grammar, Kind, table, words};
use crate::scenario::spec::ONE_UP;
use crate::units::Nanos;

/// Rounds of a warm-up by which a steady state can be found: fewer cannot show a trend.
pub(crate) const MIN_ROUNDS: u32 = 4;

const STREAMS: Kind = Integer(1, 1_000_000);
const RATE: Kind = Above(0.0, 1e6);

table! {
    /// `[phase.NAME]`.
    #[derive(Clone, Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct PhaseSpec {
        /// Whether its requests count; by its name when absent.
        pub(crate) kind: Option<PhaseKind>,
        /// How many; "all" for every row.
        pub(crate) requests: Option<CountSpec>,
        /// How many rounds of the load: batches of `batch`, or `concurrency` requests each.
        pub(crate) iterations: Option<u32> = STREAMS,
        /// How long.
        pub(crate) duration: Option<Nanos>,
        /// Closed loop: that many streams.
        pub(crate) concurrency: Option<u32> = STREAMS,
        /// Open loop: requests per second.
        pub(crate) rate: Option<f64> = RATE,
        /// How gaps of a `rate` are spread.
        pub(crate) arrival: Option<ArrivalSpec>,
        /// Open loop with a changing rate.
        pub(crate) ramp: Option<RampSpec>,
        /// Static batches of that size.
        pub(crate) batch: Option<u32> = STREAMS,
        /// Everything at once.
        pub(crate) all_at_once: Option<bool>,
        /// The data set's own time stamps.
        pub(crate) trace: Option<TraceSpec>,
        /// At most this many at once; a wait is recorded.
        pub(crate) max_in_flight: Option<u32> = STREAMS,
        /// How often the cell is measured.
        pub(crate) trials: Option<u32> = Integer(1, 1000),
        /// Repeat the warm-up until there is no trend.
        pub(crate) until_steady: Option<SteadySpec>,
        /// End the phase before its cap, once a number is known.
        pub(crate) until: Option<UntilSpec>,
        /// What is done once an open loop is over-saturated, as its queue only grows.
        pub(crate) over_saturation: Option<OverSaturation>,
        /// Deadlines of each request.
        pub(crate) deadlines: Deadlines,
        /// Cancel each request after this time.
        pub(crate) cancel_after: Option<Nanos>,
        /// Time that responses get after the last send.
        pub(crate) drain: Nanos,
    }
}

/// Keys of a phase that say when requests are sent; a phase has one of them. A layer that
/// sets one replaces whichever a lower layer set.
pub(crate) const LOADS: &[&str] = &["concurrency", "rate", "ramp", "batch", "all-at-once", "trace"];

impl Grammar for PhaseKind {
    const KIND: Kind = Choice(
        &["warm-up", "measure"],
        &["It counts for nothing, and comes first.", "It is what the report is of."],
    );
}

/// A number of requests, or every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a count or \"all\"")]
pub(crate) enum CountSpec {
    Exactly(u64),
    Word(AllRows),
}

impl Grammar for CountSpec {
    const KIND: Kind = Either(&[ONE_UP, AllRows::KIND]);
}

words! {
    /// Every row.
    pub(crate) enum AllRows {
        /// One request for each row of the data set.
        All = "all",
    }
}

/// How the gaps of a rate are spread. Its default stands here: in `defaults.toml` it would say
/// something of every phase, also of those without a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ArrivalSpec {
    #[default]
    Poisson,
    Constant,
    Gamma(f64),
}

impl Grammar for ArrivalSpec {
    const KIND: Kind = Either(&[
        Choice(
            &["poisson", "constant"],
            &[
                "Gaps are drawn, as of people who know nothing of each other.",
                "Gaps are all the same.",
            ],
        ),
        GammaTable::KIND,
    ]);
}

table! {
    #[expect(dead_code, reason = "serde reads it as `ArrivalSpec::Gamma`")]
    struct GammaTable {
        /// Burstiness: 1 is Poisson, less is burstier.
        gamma: f64 = Above(0.0, 1e6),
    }
}

table! {
    /// A rate that changes over the phase.
    #[derive(Clone, Copy, Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct RampSpec {
        /// Requests per second at the start.
        pub(crate) from: f64 = RATE,
        /// Requests per second at the end.
        pub(crate) to: f64 = RATE,
        /// How the rate changes.
        pub(crate) shape: RampShape,
    }
}

words! {
    /// How a ramp changes its rate.
    pub enum RampShape {
        /// By the same amount each second.
        Linear = "linear",
        /// By the same factor each second.
        Exponential = "exponential",
    }
}

table! {
    /// The data set's own time stamps.
    #[derive(Clone, Copy, Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct TraceSpec {
        /// 1 replays in real time.
        pub(crate) speedup: f64 = Above(0.0, 1e6),
    }
}

/// Rounds of a warm-up; `false` for none. What `true` means is in `defaults.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a truth value, or `{ max-rounds = … }`")]
pub(crate) enum SteadySpec {
    Rounds(RoundsSpec),
    Plain(bool),
}

impl Grammar for SteadySpec {
    const KIND: Kind = Either(&[Bool, RoundsSpec::KIND]);
}

table! {
    /// Rounds of a warm-up.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct RoundsSpec {
        /// Rounds at most; a trend needs four to show.
        pub(crate) max_rounds: u32 = Integer(MIN_ROUNDS as i64, 1000),
    }
}

table! {
    /// A number that ends a phase once it is known.
    #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct UntilSpec {
        /// The number: `ttft.p99`, `tpot.mean`.
        pub(crate) metric: String,
        /// Half the width of its 95 % interval at most, as a share of it: `5%`.
        pub(crate) half_width: String,
    }
}

words! {
    /// What is done once an open loop is over-saturated: its queue only grows.
    pub enum OverSaturation {
        /// Its phase ends, with what is known by then.
        Stop = "stop",
        /// So it does, and higher rates of the same engine are not tried.
        StopAndSkip = "stop-and-skip",
    }
}

table! {
    /// Deadlines of one request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Deadlines {
        /// Until the connection is open.
        pub connect: Nanos,
        /// From sending to the first token; heartbeats do not count.
        pub first_token [alias = "first-token"]: Nanos,
        /// Between two tokens.
        pub between_tokens [alias = "between-tokens"]: Nanos,
        /// From sending to the end.
        pub total: Nanos,
    }
}
