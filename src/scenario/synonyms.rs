//! Which key was meant: by its letters, or by what other tools call it.

use crate::diagnostic::suggest::nearest;
use crate::scenario::toml_tree::Data;

/// Words of other tools, in kebab case, and our keys for the same thing.
const SYNONYMS: &[(&str, &str)] = &[
    ("api-base", "url"),
    ("api-key", "api-key-env"),
    ("base-url", "url"),
    ("burstiness", "arrival"),
    ("clients", "concurrency"),
    ("dtype", "precision"),
    ("endpoint", "path"),
    ("gpu-memory-utilization", "memory-fraction"),
    ("host", "url"),
    ("input-len", "input-tokens"),
    ("max-concurrency", "concurrency"),
    ("max-model-len", "context-length"),
    ("max-new-tokens", "max-tokens"),
    ("max-num-batched-tokens", "max-batched-tokens"),
    ("max-num-seqs", "max-sequences"),
    ("max-output-tokens", "max-tokens"),
    ("max-seconds", "duration"),
    ("mem-fraction-static", "memory-fraction"),
    ("n-gpu-layers", "gpu-layers"),
    ("num-prompts", "requests"),
    ("num-requests", "requests"),
    ("output-len", "output-tokens"),
    ("prompts", "requests"),
    ("qps", "rate"),
    ("quantization", "quantisation"),
    ("request-rate", "rate"),
    ("rps", "rate"),
    ("slots", "max-sequences"),
    ("temp", "temperature"),
    ("tensor-parallel-size", "tensor-parallel"),
    ("tp", "tensor-parallel"),
    ("users", "concurrency"),
];

/// Returns the known key that a word is meant for, if there is one.
pub(crate) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase().replace('_', "-");
    let mut synonyms = SYNONYMS.iter().filter(|(theirs, _)| *theirs == folded);
    synonyms
        .find_map(|(_, ours)| known.iter().find(|key| *key == ours).copied())
        .or_else(|| nearest(word, known.iter().copied()))
}

/// Parameters of sampling that bench sends as they are written, and has no key for: the nearest key
/// would be another parameter.
const SENT_AS_WRITTEN: [&str; 5] =
    ["frequency_penalty", "min_p", "presence_penalty", "repetition_penalty", "top_k"];

/// Returns what to write instead of a key of an earlier version, or one that is none of bench's.
pub(crate) fn replaced(key: &str, value: &Data) -> Option<String> {
    let folded = key.replace('-', "_");
    if SENT_AS_WRITTEN.contains(&folded.as_str()) {
        return Some(format!(
            "it is sent as it stands in `[request] extra-body = {{ {folded} = … }}`"
        ));
    }
    if key == "skip-bad-rows" {
        let word = if matches!(value, Data::Bool(true)) { "skip" } else { "stop" };
        return Some(format!("write `bad-rows = \"{word}\"`"));
    }
    let least = match (key, value) {
        ("floor", Data::Float(least)) => least.to_string(),
        ("floor", Data::Integer(least)) => least.to_string(),
        _ => return None,
    };
    Some(format!("a gate replaces it: write `must = [\"accuracy >= {least}\"]` below `[gate]`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_earlier_version_is_told_with_what_replaces_it() {
        let check = |value: Data, expected: &str| {
            assert_eq!(replaced("skip-bad-rows", &value).as_deref(), Some(expected));
        };
        check(Data::Bool(true), "write `bad-rows = \"skip\"`");
        check(Data::Bool(false), "write `bad-rows = \"stop\"`");
        let sampling = replaced("top_k", &Data::Integer(3)).unwrap();
        assert!(sampling.ends_with("`[request] extra-body = { top_k = … }`"), "{sampling}");
    }

    #[test]
    fn words_of_other_tools_are_understood_where_their_key_is_known() {
        let known = ["rate", "requests", "concurrency", "max-sequences"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(meant(word, &known), expected);
        check("qps", Some("rate"));
        check("num_prompts", Some("requests"));
        check("max-concurrency", Some("concurrency"));
        check("slots", Some("max-sequences"));
        check("base-url", None);
        check("concurency", Some("concurrency"));
    }
}
