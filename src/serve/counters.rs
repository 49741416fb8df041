//! The counters of a built-in engine, and the text in which `/metrics` reports them.

use std::fmt::Write;

/// State and totals of an engine at one moment.
///
/// The metric names are vLLM's, so one preset of names reads vLLM and both built-in engines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    /// Requests that are being worked on.
    pub running: u64,
    /// Requests that wait for a slot.
    pub waiting: u64,
    /// Share of the key-value cache in use, 0 to 1.
    pub kv_cache_usage_ratio: f64,
    /// Prompt tokens of all admitted requests.
    pub prompt_tokens: u64,
    /// Generated tokens.
    pub generation_tokens: u64,
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_cache_queries: u64,
    /// Prompt tokens found in the prefix cache.
    pub prefix_cache_hits: u64,
    /// Requests whose cache was evicted to make room.
    pub preemptions: u64,
    /// Requests that ended with a finish reason.
    pub finished: u64,
    /// Requests whose client left before the end.
    pub aborted: u64,
}

impl Counters {
    /// Returns the Prometheus text of these counters.
    pub(crate) fn prometheus(&self, model: &str) -> String {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let mut text = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: f64| {
            writeln!(
                text,
                "# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}\nvllm:{name}{{model_name=\"{model}\"}} {value}"
            )
            .expect("writing to a string cannot fail");
        };
        put("num_requests_running", "gauge", "Requests being worked on.", self.running as f64);
        put("num_requests_waiting", "gauge", "Requests waiting for a slot.", self.waiting as f64);
        put(
            "kv_cache_usage_perc",
            "gauge",
            "Share of the cache in use.",
            self.kv_cache_usage_ratio,
        );
        put("prompt_tokens_total", "counter", "Prompt tokens.", self.prompt_tokens as f64);
        put(
            "generation_tokens_total",
            "counter",
            "Generated tokens.",
            self.generation_tokens as f64,
        );
        put(
            "prefix_cache_queries_total",
            "counter",
            "Prompt tokens looked up in the prefix cache.",
            self.prefix_cache_queries as f64,
        );
        put(
            "prefix_cache_hits_total",
            "counter",
            "Prompt tokens found in the prefix cache.",
            self.prefix_cache_hits as f64,
        );
        put("num_preemptions_total", "counter", "Preempted requests.", self.preemptions as f64);
        put("request_success_total", "counter", "Finished requests.", self.finished as f64);
        put(
            "request_aborted_total",
            "counter",
            "Requests given up by clients.",
            self.aborted as f64,
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_that_the_vllm_preset_reads() {
        let counters = Counters { running: 3, generation_tokens: 1_234_567, ..Counters::default() };
        let text = counters.prometheus("a\"b");
        assert!(text.contains("vllm:num_requests_running{model_name=\"a\\\"b\"} 3\n"), "{text}");
        assert!(text.contains("vllm:generation_tokens_total{model_name=\"a\\\"b\"} 1234567\n"));
        assert!(text.contains("# TYPE vllm:kv_cache_usage_perc gauge\n"));
    }
}
