//! GPUs given out to engines that run side by side, and taken back.

use std::collections::{BTreeMap, BTreeSet};

/// What one start of an engine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// So many of the GPUs, none of which is another's.
    Gpus(usize),
    /// The machine: it needs no GPU, or others than can be given out.
    Machine,
}

/// GPUs, who has them, and who waits. Starts and GPUs are numbers, from 0.
#[derive(Clone, Debug)]
pub(crate) struct Devices {
    free: BTreeSet<usize>,
    /// Who waits, in the order of the plan.
    waiting: Vec<(usize, Need)>,
    running: BTreeMap<usize, (Need, Vec<usize>)>,
    /// Whether something was left behind by an engine that has ended.
    is_dirty: bool,
}

impl Devices {
    /// Makes so many GPUs free for these starts. Who needs more than there are needs the machine.
    pub(crate) fn new(n_gpus: usize, needs: impl IntoIterator<Item = (usize, Need)>) -> Self {
        let fitting = |(start, need)| match need {
            Need::Gpus(n) if n > n_gpus => (start, Need::Machine),
            need => (start, need),
        };
        Self {
            free: (0..n_gpus).collect(),
            waiting: needs.into_iter().map(fitting).collect(),
            running: BTreeMap::new(),
            is_dirty: false,
        }
    }

    /// Takes the next start that can begin now, with the GPUs that are its own until it ends.
    ///
    /// Who fits on what is free does not wait for who does not. Who needs the machine begins when
    /// nobody else runs or can.
    pub(crate) fn begin(&mut self) -> Option<(usize, Vec<usize>)> {
        if self.running.values().any(|(need, _)| *need == Need::Machine) {
            return None;
        }
        let fits = |need: Need| matches!(need, Need::Gpus(n) if n <= self.free.len());
        let is_alone = self.running.is_empty() && !self.is_dirty;
        let next = self.waiting.iter().position(|(_, need)| fits(*need)).or_else(|| {
            let position = self.waiting.iter().position(|(_, need)| *need == Need::Machine);
            position.filter(|_| is_alone)
        })?;
        let (start, need) = self.waiting.remove(next);
        let gpus: Vec<usize> = match need {
            Need::Gpus(n) => self.free.iter().copied().take(n).collect(),
            Need::Machine => Vec::new(),
        };
        self.free.retain(|gpu| !gpus.contains(gpu));
        self.running.insert(start, (need, gpus.clone()));
        Some((start, gpus))
    }

    /// Takes the GPUs of a start back. Those of an engine that left something behind are given to
    /// nobody: a further engine would be measured beside the remains.
    pub(crate) fn end(&mut self, start: usize, is_clean: bool) {
        let Some((_, gpus)) = self.running.remove(&start) else { return };
        if is_clean {
            self.free.extend(gpus);
        } else {
            self.is_dirty = true;
        }
    }

    /// Returns who never began.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.waiting.iter().map(|(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::devices::Need::{Gpus, Machine};

    /// Returns what can begin now.
    fn begun(devices: &mut Devices) -> Vec<(usize, Vec<usize>)> {
        std::iter::from_fn(|| devices.begin()).collect()
    }

    fn of(n_gpus: usize, needs: &[Need]) -> Devices {
        Devices::new(n_gpus, needs.iter().copied().enumerate())
    }

    #[test]
    fn no_gpu_is_given_to_two_and_no_more_begin_than_there_are_gpus() {
        let mut devices = of(2, &[Gpus(1); 4]);
        assert_eq!(begun(&mut devices), [(0, vec![0]), (1, vec![1])]);
        devices.end(1, true);
        assert_eq!(begun(&mut devices), [(2, vec![1])]);
        devices.end(0, true);
        devices.end(2, true);
        assert_eq!(begun(&mut devices), [(3, vec![0])]);
        assert_eq!(devices.waiting().count(), 0);
    }

    #[test]
    fn who_fits_does_not_wait_for_who_does_not() {
        let mut devices = of(3, &[Gpus(2), Gpus(2), Gpus(1)]);
        assert_eq!(begun(&mut devices), [(0, vec![0, 1]), (2, vec![2])]);
        devices.end(2, true);
        assert_eq!(begun(&mut devices), []);
        devices.end(0, true);
        assert_eq!(begun(&mut devices), [(1, vec![0, 1])]);
    }

    #[test]
    fn who_needs_no_gpu_or_more_than_there_are_runs_alone_behind_the_others() {
        let mut devices = of(2, &[Machine, Gpus(3), Gpus(1), Gpus(1)]);
        assert_eq!(begun(&mut devices), [(2, vec![0]), (3, vec![1])]);
        devices.end(2, true);
        assert_eq!(begun(&mut devices), []);
        devices.end(3, true);
        assert_eq!(begun(&mut devices), [(0, vec![])]);
        devices.end(0, true);
        assert_eq!(begun(&mut devices), [(1, vec![])]);
    }

    #[test]
    fn gpus_of_an_engine_that_left_something_behind_are_given_to_nobody() {
        let mut devices = of(2, &[Gpus(1), Gpus(1), Gpus(1), Gpus(2), Machine]);
        assert_eq!(begun(&mut devices).len(), 2);
        devices.end(0, false);
        assert_eq!(begun(&mut devices), []);
        devices.end(1, true);
        assert_eq!(begun(&mut devices), [(2, vec![1])]);
        devices.end(2, true);
        assert_eq!(begun(&mut devices), []);
        assert_eq!(devices.waiting().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn without_gpus_everyone_runs_one_after_the_other() {
        let mut devices = of(0, &[Gpus(1), Machine]);
        assert_eq!(begun(&mut devices), [(0, vec![])]);
        devices.end(0, true);
        assert_eq!(begun(&mut devices), [(1, vec![])]);
    }
}
