//! The stretch of a trial that counts.

use crate::plan::cell::{ArrivalsPlan, Cell, Phase};
use crate::record::request::RequestRecord;
use crate::record::trial::{PhaseRecord, TrialRecord};
use crate::units::Nanos;

/// The measured stretches of one trial.
///
/// From the end of warm-up to the last scheduled send (open loop) or to the stop (closed loop):
/// ramp and drain are a bias that depends on the engine. Loads that have no steady state
/// (static batches, everything at once, fewer than two waves) are measured to the last response.
///
/// The warm-up is drained, so that a closed loop sends at once all that it has under way; an open
/// loop needs about as long for that as it needs to drain at its end. Where requests come at a
/// steady rate its window begins so much later: else, of two engines that keep up with one rate,
/// the one with the longer answers would seem to do less.
///
/// Of a trial that was interrupted and went on, it is the stretch after the last interruption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    spans: Vec<Span>,
    whole: Vec<Span>,
    measured_phases: Vec<bool>,
    /// By phase: requests that were due before are of a stretch that was interrupted.
    since: Vec<Nanos>,
    /// Why the window runs to the last response, if it does.
    pub to_the_end: Option<ToTheEnd>,
    /// Whether the window of an open loop begins with an idle engine.
    pub(crate) begins_idle: bool,
    /// How long requests were sent, and for how long they were to be, where there were no more.
    pub(crate) ran_out: Option<(Nanos, Nanos)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: Nanos,
    end: Nanos,
}

/// Why a window runs to the last response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToTheEnd {
    /// Static batches or everything at once: the whole job is what is asked for.
    Batch,
    /// A closed loop of fewer than two waves never reaches a steady state.
    FewWaves,
    /// All requests were due at one instant.
    NoDuration,
    /// A closed loop that was to last for a time had no more requests before it was over.
    RanOut,
}

/// Waves of a closed loop below which there is no steady state to cut out.
const MIN_WAVES: u64 = 2;

impl Window {
    /// Returns the window of a trial: of those phases that the cell's row is of.
    pub(crate) fn of(trial: &TrialRecord, cell: &Cell) -> Self {
        let mut window = Self {
            spans: Vec::new(),
            whole: Vec::new(),
            measured_phases: Vec::new(),
            since: Vec::new(),
            to_the_end: None,
            begins_idle: false,
            ran_out: None,
        };
        for (place, phase) in trial.phases.iter().enumerate() {
            let is_measured = cell.measures(phase.kind, &phase.name);
            window.measured_phases.push(is_measured);
            let is_interrupted = !phase.earlier.is_empty();
            window.since.push(if is_interrupted { phase.started } else { Nanos::ZERO });
            if !is_measured {
                continue;
            }
            let planned = cell.phases.get(place);
            let end = end(phase, planned);
            window.to_the_end = window.to_the_end.or(to_the_end(phase, planned));
            window.ran_out = window.ran_out.or(ran_out(phase, planned));
            let ramp = ramp(phase, planned);
            window.begins_idle |= ramp == Some(Nanos::ZERO);
            window.spans.push(Span { start: phase.started + ramp.unwrap_or_default(), end });
            window.whole.push(Span { start: phase.started, end: phase.drained });
        }
        window
    }

    /// Returns the stretches of a trial that interruptions ended, each from its first request to
    /// the last response that stayed; `None` where there are none.
    pub(crate) fn earlier(trial: &TrialRecord, cell: &Cell) -> Option<Self> {
        let last = Self::of(trial, cell);
        let stretches = last.measured(trial).flat_map(|phase| &phase.earlier);
        let spans: Vec<Span> =
            stretches.map(|it| Span { start: it.started, end: it.ended }).collect();
        let to_the_end = Some(ToTheEnd::Batch);
        (!spans.is_empty()).then(|| Self { whole: spans.clone(), spans, to_the_end, ..last })
    }

    /// Whether a request stayed from a stretch that was interrupted.
    pub(crate) fn is_earlier(&self, record: &RequestRecord) -> bool {
        let since = self.since.get(usize::from(record.phase)).copied().unwrap_or_default();
        record.scheduled < since
    }

    /// Whether a request's phase, by index, is measured.
    pub(crate) fn measures_phase(&self, phase: u16) -> bool {
        self.measured_phases.get(usize::from(phase)).copied().unwrap_or(false)
    }

    /// Returns the records of the phases that are measured.
    pub(crate) fn measured<'t>(
        &self,
        trial: &'t TrialRecord,
    ) -> impl Iterator<Item = &'t PhaseRecord> {
        let phases = trial.phases.iter().zip(&self.measured_phases);
        phases.filter(|(_, is_measured)| **is_measured).map(|(phase, _)| phase)
    }

    /// Whether an instant lies inside the window; its end belongs to it.
    pub(crate) fn contains(&self, at: Nanos) -> bool {
        self.spans.iter().any(|span| span.start <= at && at <= span.end)
    }

    /// Returns the window's length.
    pub(crate) fn duration(&self) -> Nanos {
        duration(&self.spans)
    }

    /// Returns the time from the beginning of the measured phases to the last response.
    pub(crate) fn whole_duration(&self) -> Nanos {
        duration(&self.whole)
    }

    /// Returns how much of `start..end` lies inside the window.
    pub(crate) fn overlap(&self, start: Nanos, end: Nanos) -> Nanos {
        self.spans.iter().map(|span| span.end.min(end).saturating_sub(span.start.max(start))).sum()
    }

    /// Returns how much of `start..end` lies between the beginning of a measured phase and its last response.
    pub(crate) fn overlap_whole(&self, start: Nanos, end: Nanos) -> Nanos {
        self.whole.iter().map(|span| span.end.min(end).saturating_sub(span.start.max(start))).sum()
    }

    /// Whether any instant of `start..=end` lies inside the window.
    pub(crate) fn touches(&self, start: Nanos, end: Nanos) -> bool {
        self.spans.iter().any(|span| span.start <= end && start <= span.end)
    }

    /// Returns which of `n_slices` equal parts of the window an instant falls into.
    pub(crate) fn slice(&self, at: Nanos, n_slices: usize) -> Option<usize> {
        let duration = self.duration().0;
        if duration == 0 || !self.contains(at) {
            return None;
        }
        let into = self.overlap(Nanos::ZERO, at).0;
        let slice = u128::from(into) * n_slices as u128 / u128::from(duration);
        Some((slice as usize).min(n_slices - 1))
    }

    /// Returns the window's stretches, `(start, end)` each.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (Nanos, Nanos)> {
        self.spans.iter().map(|span| (span.start, span.end))
    }

    /// Returns the stretches from the beginning of each measured phase to its last response.
    pub(crate) fn whole_spans(&self) -> impl Iterator<Item = (Nanos, Nanos)> {
        self.whole.iter().map(|span| (span.start, span.end))
    }
}

/// Returns where the window of a measured phase ends.
pub(super) fn end(record: &PhaseRecord, phase: Option<&Phase>) -> Nanos {
    if to_the_end(record, phase).is_some() { record.drained } else { record.stopped }
}

/// Returns how long an open loop takes until as much is under way as at its end; zero where that
/// is not known, and `None` for other loads.
///
/// A drain of more than half of the time is one of a queue, or of answers about as long as the
/// whole phase.
fn ramp(record: &PhaseRecord, phase: Option<&Phase>) -> Option<Nanos> {
    let arrivals = &phase?.arrivals;
    if to_the_end(record, phase).is_some() || arrivals.waits_for_answers() {
        return None;
    }
    let drain = record.drained.saturating_sub(record.stopped);
    let is_known = arrivals.level().is_some()
        && drain + drain <= record.stopped.saturating_sub(record.started);
    Some(if is_known { drain } else { Nanos::ZERO })
}

/// Returns how long a phase sent, and for how long it was to, where it had no more requests; one of
/// fewer than two waves says so itself.
fn ran_out(record: &PhaseRecord, phase: Option<&Phase>) -> Option<(Nanos, Nanos)> {
    let is_told = matches!(to_the_end(record, phase), None | Some(ToTheEnd::RanOut));
    let asked = phase?.duration.filter(|_| record.ran_out && is_told)?;
    Some((record.stopped.saturating_sub(record.started), asked))
}

fn duration(spans: &[Span]) -> Nanos {
    spans.iter().map(|span| span.end.saturating_sub(span.start)).sum()
}

fn to_the_end(record: &PhaseRecord, phase: Option<&Phase>) -> Option<ToTheEnd> {
    let n = record.n_scheduled.saturating_sub(record.n_stayed());
    match phase.map(|phase| &phase.arrivals) {
        // All that there was to send had stayed from before an interruption.
        _ if n == 0 && !record.earlier.is_empty() => None,
        Some(ArrivalsPlan::Batch { .. } | ArrivalsPlan::AllAtOnce) => Some(ToTheEnd::Batch),
        Some(ArrivalsPlan::Closed { concurrency }) if n < MIN_WAVES * u64::from(*concurrency) => {
            Some(ToTheEnd::FewWaves)
        }
        _ if record.stopped <= record.started => Some(ToTheEnd::NoDuration),
        Some(ArrivalsPlan::Closed { .. }) if record.ran_out => Some(ToTheEnd::RanOut),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{cell, phase_record, trial};
    use crate::record::trial::PhaseKind;

    const fn ms(millis: u64) -> Nanos {
        Nanos::from_millis(millis)
    }

    fn window(arrivals: ArrivalsPlan, n_scheduled: u64) -> Window {
        let mut trial = trial(&[
            phase_record(PhaseKind::WarmUp, 0, 50, 90),
            phase_record(PhaseKind::Measure, 100, 200, 250),
        ]);
        trial.phases[1].n_scheduled = n_scheduled;
        let mut cell = cell(arrivals);
        cell.phases.insert(0, cell.phases[0].clone());
        Window::of(&trial, &cell)
    }

    #[test]
    fn a_window_ends_with_the_last_send_and_not_with_the_drain() {
        let window = window(ArrivalsPlan::Closed { concurrency: 4 }, 100);
        assert_eq!((window.duration(), window.whole_duration()), (ms(100), ms(150)));
        let inside = |millis| window.contains(ms(millis));
        assert!(inside(100) && inside(200) && !inside(99) && !inside(201));
        assert_eq!(window.overlap(ms(150), ms(240)), ms(50));
        assert_eq!(window.overlap(ms(10), ms(90)), ms(0));
        assert!(!window.measures_phase(0) && window.measures_phase(1));
        assert!(!window.measures_phase(2));
    }

    #[test]
    fn a_loop_that_ran_out_of_requests_says_so_and_a_closed_one_is_measured_to_its_end() {
        let of = |arrivals, ran_out| {
            let mut trial = trial(&[phase_record(PhaseKind::Measure, 100, 300, 310)]);
            (trial.phases[0].n_scheduled, trial.phases[0].ran_out) = (100, ran_out);
            let mut cell = cell(arrivals);
            cell.phases[0].duration = Some(ms(500));
            let window = Window::of(&trial, &cell);
            (window.duration(), window.to_the_end, window.ran_out)
        };
        let (closed, found) = (ArrivalsPlan::Closed { concurrency: 4 }, Some((ms(200), ms(500))));
        assert_eq!(of(closed.clone(), true), (ms(210), Some(ToTheEnd::RanOut), found));
        assert_eq!(of(closed, false), (ms(200), None, None));
        // The rate of an open loop stands for the time that it was sent.
        let open = ArrivalsPlan::Constant { rate_per_s: 500.0 };
        assert_eq!(of(open, true), (ms(190), None, found));
    }

    /// The phase lasts 100 ms, and its last answer ends 50 ms later.
    #[test]
    fn the_window_of_an_open_loop_begins_when_as_much_is_under_way_as_at_its_end() {
        let check = |arrivals, expected: (Nanos, bool)| {
            let window = window(arrivals, 100);
            assert_eq!((window.duration(), window.begins_idle), expected);
        };
        check(ArrivalsPlan::Constant { rate_per_s: 1_000.0 }, (ms(50), false));
        check(ArrivalsPlan::Poisson { rate_per_s: 1_000.0 }, (ms(50), false));
        check(ArrivalsPlan::Trace { speedup: 1.0 }, (ms(100), true));
        check(ArrivalsPlan::Closed { concurrency: 4 }, (ms(100), false));
        let mut queue = trial(&[phase_record(PhaseKind::Measure, 100, 200, 251)]);
        queue.phases[0].n_scheduled = 100;
        let window = Window::of(&queue, &cell(ArrivalsPlan::Poisson { rate_per_s: 1_000.0 }));
        assert_eq!((window.duration(), window.begins_idle), (ms(100), true));
    }

    #[test]
    fn a_job_without_a_steady_state_is_measured_to_its_end() {
        let check = |arrivals, n_scheduled, expected| {
            let window = window(arrivals, n_scheduled);
            assert_eq!((window.duration(), window.to_the_end), (ms(150), Some(expected)));
        };
        check(ArrivalsPlan::AllAtOnce, 100, ToTheEnd::Batch);
        check(ArrivalsPlan::Batch { size: 8 }, 100, ToTheEnd::Batch);
        check(ArrivalsPlan::Closed { concurrency: 80 }, 100, ToTheEnd::FewWaves);
    }

    #[test]
    fn a_window_is_cut_into_equal_slices() {
        let window = window(ArrivalsPlan::Closed { concurrency: 4 }, 100);
        let slice = |millis| window.slice(ms(millis), 10);
        assert_eq!((slice(100), slice(109), slice(110)), (Some(0), Some(0), Some(1)));
        assert_eq!((slice(200), slice(201), slice(99)), (Some(9), None, None));
    }
}
