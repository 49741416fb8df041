//! When a piece of work ends, stalls included.

use rand::rngs::ChaCha8Rng;

use super::latency::LatencyModel;
use super::stall::Stalls;
use crate::units::Nanos;

/// The engine's start and its stalls. Instants are of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    /// When the engine started.
    pub epoch: Nanos,
    /// The stalls, if there are any.
    pub stalls: Option<Stalls>,
}

impl Timeline {
    /// Returns the instant at which work of length `service` ends that began at `start`.
    pub(crate) fn after(&self, start: Nanos, service: Nanos) -> Nanos {
        match self.stalls {
            None => start + service,
            Some(stalls) => self.epoch + stalls.after(start.saturating_sub(self.epoch), service),
        }
    }
}

/// The times of one answer.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Service times.
    pub latency: LatencyModel,
    /// The engine's start and stalls.
    pub timeline: Timeline,
    /// The random numbers of this answer alone.
    pub rng: ChaCha8Rng,
    /// Prompt tokens that need prefill.
    pub n_prefilled: u32,
}

impl Pace {
    /// Returns when the first token is due, for a request that was admitted at `admitted`.
    pub(crate) fn first_token(&mut self, admitted: Nanos) -> Nanos {
        let service = self.latency.first_token(self.n_prefilled, &mut self.rng);
        self.timeline.after(admitted, service)
    }

    /// Returns when a step that yields `n_tokens` is due after the one at `previous`.
    pub(crate) fn step(&mut self, previous: Nanos, n_tokens: u32) -> Nanos {
        let service = self.latency.step(n_tokens, &mut self.rng);
        self.timeline.after(previous, service)
    }
}
