//! Every quantity that a probe samples, with its name in the records.

use crate::record::tagged::tagged;

tagged! {
    /// A sampled quantity. Its unit is the last part of the tag.
    ///
    /// Order decides: records list the quantities of a sample in it, and those that an engine's
    /// metrics endpoint tells come last.
    pub enum Gauge {
        /// Clock of the GPU's processors.
        ClockMhz = "clock_mhz",
        /// CPU time of all processors that was not idle, since boot.
        CpuBusyS = "cpu_busy_s",
        /// CPU time of the engine's processes.
        CpuS = "cpu_s",
        /// CPU time that a hypervisor took from all processors, since boot.
        CpuStealS = "cpu_steal_s",
        /// CPU time of all processors, idle or not, since boot.
        CpuTimeS = "cpu_time_s",
        /// The GPU's energy counter.
        EnergyJ = "energy_j",
        /// The kernel's load average over a minute.
        Load1m = "load_1m",
        /// Memory of the host that programs could still have.
        MemoryAvailableBytes = "memory_available_bytes",
        /// Memory in use on the GPU, or resident memory of the engine's processes.
        MemoryBytes = "memory_bytes",
        /// Memory of the host that is not available any more.
        MemoryUsedBytes = "memory_used_bytes",
        /// The engine's processes.
        NProcesses = "n_processes",
        /// Rate of output tokens that the engine's log tells.
        OutputTps = "output_tps",
        /// CPU time of bench itself.
        OwnCpuS = "own_cpu_s",
        /// The GPU's power.
        PowerW = "power_w",
        /// Rate of prompt tokens that the engine's log tells.
        PromptTps = "prompt_tps",
        /// The GPU's temperature.
        TemperatureC = "temperature_c",
        /// Why the GPU lowers its clocks: NVML's bits.
        ThrottleReasons = "throttle_reasons",
        /// Share of time in which the GPU had work.
        UtilisationPct = "utilisation_pct",
        /// Share of the KV cache that is in use.
        KvCacheUsageRatio = "kv_cache_usage_ratio",
        /// Generated tokens so far.
        OutputTokens = "output_tokens",
        /// Requests that the engine put aside so far.
        Preemptions = "preemptions",
        /// Tokens that the prefix cache had, so far.
        PrefixCacheHits = "prefix_cache_hits",
        /// Tokens that the prefix cache was asked for, so far.
        PrefixCacheQueries = "prefix_cache_queries",
        /// Prompt tokens so far.
        PromptTokens = "prompt_tokens",
        /// Requests that the engine works on.
        RequestsRunning = "requests_running",
        /// Requests in the engine's queue.
        RequestsWaiting = "requests_waiting",
        /// Drafted tokens that were accepted, so far.
        SpecAccepted = "spec_accepted",
        /// Accepted of drafted tokens, where the engine tells no counters.
        SpecAcceptedRatio = "spec_accepted_ratio",
        /// Drafted tokens so far.
        SpecDrafted = "spec_drafted",
    }
}

impl Gauge {
    /// Tags of what an engine's metrics endpoint may tell.
    pub(crate) const OF_ENGINE: &[&str] = Self::TAGS.split_at(Self::KvCacheUsageRatio as usize).1;

    /// Whether it is a share, of which several are averaged rather than added up.
    pub(crate) const fn is_ratio(self) -> bool {
        matches!(self, Self::KvCacheUsageRatio | Self::SpecAcceptedRatio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_written_as_its_tag_and_an_unknown_one_is_refused() {
        let text = serde_json::to_string(&Gauge::KvCacheUsageRatio).unwrap();
        assert_eq!(text, "\"kv_cache_usage_ratio\"");
        assert_eq!(serde_json::from_str::<Gauge>(&text).unwrap(), Gauge::KvCacheUsageRatio);
        let unknown = serde_json::from_str::<Gauge>("\"kv_cache\"").unwrap_err().to_string();
        assert!(unknown.starts_with("unknown variant `kv_cache`"), "{unknown}");
    }

    #[test]
    fn what_an_engine_tells_is_the_end_of_the_list_and_sorted_as_its_text() {
        assert_eq!(Gauge::OF_ENGINE.len(), 11);
        for tags in [Gauge::OF_ENGINE, &Gauge::TAGS[..Gauge::TAGS.len() - 11]] {
            assert!(tags.is_sorted(), "{tags:?}");
        }
    }
}
