//! The engine's processes: processor time and memory of the whole tree.

use std::collections::BTreeMap;
use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use crate::record::telemetry::{ProbeName, TelemetrySample, TelemetrySource};
use crate::telemetry::Probe;
use crate::units::Nanos;

/// Samples the processes whose pids a function returns.
pub struct EngineProcessProbe {
    pids: Box<dyn FnMut() -> Vec<i32> + Send>,
    ticks_per_s: f64,
    page_bytes: f64,
}

impl EngineProcessProbe {
    /// Makes a probe of the processes that `pids` returns at each sample.
    pub fn new(pids: Box<dyn FnMut() -> Vec<i32> + Send>) -> Self {
        let system = |name, usual: i64| sysconf(name).ok().flatten().unwrap_or(usual) as f64;
        Self {
            pids,
            ticks_per_s: system(SysconfVar::CLK_TCK, 100),
            page_bytes: system(SysconfVar::PAGE_SIZE, 4_096),
        }
    }
}

impl Probe for EngineProcessProbe {
    fn name(&self) -> ProbeName {
        ProbeName::EngineProcesses
    }

    fn sample(&mut self, now: &dyn Fn() -> Nanos) -> Vec<TelemetrySample> {
        let at = now();
        let uses: Vec<Use> = (self.pids)().into_iter().filter_map(read).collect();
        let mut values = BTreeMap::new();
        let mut absent = BTreeMap::new();
        if uses.is_empty() {
            for name in ["cpu_s", "memory_bytes"] {
                absent.insert(name.to_owned(), "no process of the engine runs".to_owned());
            }
        } else {
            let ticks: u64 = uses.iter().map(|usage| usage.ticks).sum();
            let cpu_s = ticks as f64 / self.ticks_per_s;
            let pages: u64 = uses.iter().map(|usage| usage.pages).sum();
            values.insert("cpu_s".to_owned(), cpu_s);
            // Resident pages; those that processes share are counted once for each.
            values.insert("memory_bytes".to_owned(), pages as f64 * self.page_bytes);
            values.insert("n_processes".to_owned(), uses.len() as f64);
        }
        vec![TelemetrySample { at, source: TelemetrySource::EngineProcess, values, absent }]
    }
}

/// What one process uses.
struct Use {
    ticks: u64,
    pages: u64,
}

fn read(pid: i32) -> Option<Use> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads fields 14, 15 and 24 of `/proc/PID/stat` (proc(5)).
fn parse(stat: &str) -> Option<Use> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Use { ticks: number(11)? + number(12)?, pages: number(21)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_read_behind_a_name_with_spaces() {
        let stat = "42 (VLLM::Worker (0) x) S 7 40 39 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 \
                    123456 1000 200 0";
        let usage = parse(stat).unwrap();
        assert_eq!((usage.ticks, usage.pages), (11, 200));
    }

    #[test]
    fn this_process_uses_memory_and_a_process_that_is_gone_is_absent() {
        let own = std::process::id().cast_signed();
        let samples = EngineProcessProbe::new(Box::new(move || vec![own])).sample(&|| Nanos(1));
        assert!(samples[0].values["memory_bytes"] > 1e6);
        let samples = EngineProcessProbe::new(Box::new(|| vec![-1])).sample(&|| Nanos(1));
        assert_eq!(samples[0].absent["cpu_s"], "no process of the engine runs");
        assert!(samples[0].values.is_empty());
    }
}
