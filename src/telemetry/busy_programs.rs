//! Which programs use the processors: two looks at the process table, and what grew in between.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::record::telemetry::ProgramRecord;
use crate::telemetry::host::Processors;
use crate::telemetry::process::{Use, ticks_per_s};
use crate::units::Nanos;

/// Programs that are named.
const NAMED_MAX: usize = 5;
/// Share of a core below which a program is not named.
const NAMED_MIN: f64 = 0.01;

/// Time from which a look is too old to be the begin of a trial, and over which two looks tell what
/// used the processors: `/proc` counts in hundredths of a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at all programs before and after trials, but not more often than they can tell something.
///
/// A look reads a file for each process of the machine: beside trials of some milliseconds that
/// would be most of what `bench` does.
#[derive(Debug, Default)]
pub struct ProgramWatch {
    last: Option<ProgramTimes>,
}

impl ProgramWatch {
    /// Looks before a trial, unless the last look was only just.
    pub fn begin(&mut self) {
        if self.last.as_ref().is_none_or(|last| last.at.elapsed() >= LOOK_EVERY) {
            self.last = Some(ProgramTimes::now());
        }
    }

    /// Returns what happened since the last look, that of trials before included; nothing, over no
    /// time, where it was only just. The processes of `engine` are left out.
    pub fn end(&mut self, engine: impl FnOnce() -> Vec<i32>) -> BusyPrograms {
        let Some(last) = self.last.take_if(|last| last.at.elapsed() >= LOOK_EVERY) else {
            return BusyPrograms::default();
        };
        let later = ProgramTimes::now();
        let found = last.until(&later, &engine());
        self.last = Some(later);
        found
    }
}

/// A look at all processes and processors.
#[derive(Debug)]
pub struct ProgramTimes {
    at: Instant,
    processors: Option<Processors>,
    /// By pid and start time: a pid is given again.
    by_process: BTreeMap<(i32, u64), Use>,
}

/// What happened between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BusyPrograms {
    /// Busiest first; neither bench nor what is below it.
    pub programs: Vec<ProgramRecord>,
    /// Time between the looks.
    pub over: Nanos,
    /// Share of all processors that all but bench itself used; absent where `/proc` does not tell.
    pub share: Option<f64>,
}

impl ProgramTimes {
    /// Looks.
    pub fn now() -> Self {
        let pids = fs::read_dir("/proc").into_iter().flatten();
        let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let read = |pid: i32| {
            let usage = Use::of(pid)?;
            Some(((pid, usage.start_time), usage))
        };
        Self {
            at: Instant::now(),
            processors: Processors::now(),
            by_process: pids.filter_map(read).collect(),
        }
    }

    /// Waits until `interval` has gone by since this look.
    pub fn wait(&self, interval: Duration) {
        std::thread::sleep(interval.saturating_sub(self.at.elapsed()));
    }

    /// Returns what happened until a later look; the processes of `engine` are left out.
    pub fn until(&self, later: &Self, engine: &[i32]) -> BusyPrograms {
        let over = Nanos::from(later.at.saturating_duration_since(self.at));
        let ours = later.ours(engine);
        let ticks_per_s = ticks_per_s();
        let used = |(key, usage): (&(i32, u64), &Use)| {
            let before = self.by_process.get(key).map_or(0, |before| before.ticks);
            let cpu = usage.ticks.saturating_sub(before) as f64 / ticks_per_s;
            let is_named = !ours.contains(&key.0) && cpu >= over.as_secs_f64() * NAMED_MIN;
            let cpu = Nanos::from_secs_f64(cpu);
            is_named.then(|| ProgramRecord { pid: key.0, name: usage.name.clone(), cpu })
        };
        let mut programs: Vec<ProgramRecord> = later.by_process.iter().filter_map(used).collect();
        programs.retain(|program| program.cpu > Nanos::ZERO);
        programs.sort_by_key(|program| Reverse(program.cpu));
        programs.truncate(NAMED_MAX);
        let processors = self.processors.zip(later.processors);
        let share = processors.and_then(|(before, after)| after.others_since(before));
        BusyPrograms { programs, over, share }
    }

    /// Returns bench, all below it, and the engine.
    fn ours(&self, engine: &[i32]) -> BTreeSet<i32> {
        let mut ours: BTreeSet<i32> = engine.iter().copied().collect();
        let mut open = vec![nix::unistd::getpid().as_raw()];
        while let Some(parent) = open.pop() {
            ours.insert(parent);
            let below = self.by_process.iter().filter(|(_, usage)| usage.ppid == parent);
            open.extend(below.map(|((pid, _), _)| *pid).filter(|pid| !ours.contains(pid)));
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A busy loop that is not below this process: its parent ended.
    struct Orphan(i32);

    impl Orphan {
        fn new() -> Self {
            let mut shell: Child = Command::new("sh")
                .args(["-c", "exec >/dev/null; setsid sh -c 'while :; do :; done' & echo $! >&2"])
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut pid = String::new();
            let mut told = shell.stderr.take().unwrap();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut told), &mut pid).unwrap();
            shell.wait().unwrap();
            Self(pid.trim().parse().unwrap())
        }
    }

    impl Drop for Orphan {
        fn drop(&mut self) {
            let pid = nix::unistd::Pid::from_raw(self.0);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    }

    #[test]
    fn a_look_serves_all_trials_of_its_second() {
        let mut watch = ProgramWatch::default();
        watch.begin();
        let first = watch.last.as_ref().unwrap().at;
        assert_eq!(watch.end(|| unreachable!("no look is due")), BusyPrograms::default());
        watch.begin();
        assert_eq!(watch.last.as_ref().unwrap().at, first);
        watch.last.as_ref().unwrap().wait(LOOK_EVERY);
        assert!(watch.end(Vec::new).over >= Nanos::from(LOOK_EVERY));
        assert!(watch.last.unwrap().at > first);
    }

    #[test]
    fn a_busy_program_is_named_and_the_engine_and_what_bench_started_are_not() {
        let other = Orphan::new();
        let own = Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
        let mut own = own.unwrap();
        let own_pid = own.id().cast_signed();
        let before = ProgramTimes::now();
        // On a busy machine a loop may have to wait for its turn.
        let found = loop {
            before.wait(Duration::from_millis(300));
            let later = ProgramTimes::now();
            let names =
                |found: &BusyPrograms, pid| found.programs.iter().any(|program| program.pid == pid);
            let found = before.until(&later, &[]);
            if names(&found, other.0) {
                assert!(!names(&found, own_pid), "{found:?}");
                assert!(!names(&before.until(&later, &[other.0]), other.0));
                break found;
            }
            assert!(before.at.elapsed() < Duration::from_secs(30), "{found:?}");
        };
        own.kill().unwrap();
        own.wait().unwrap();
        let share = found.share.unwrap();
        assert!((0.0..=1.0).contains(&share), "{found:?}");
        assert!(found.programs.iter().any(|program| program.name == "sh"), "{found:?}");
    }
}
