//! Why generation stopped: the API's words, and what engines say instead of them.

use crate::record::request::FINISH_REASONS;

/// What a finish reason says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The answer ended, for this reason in the API's words.
    Ended(&'static str),
    /// The engine gave the answer up.
    Failed,
    /// Nothing: the answer goes on.
    NotYet,
    /// A word that is not known.
    Unknown,
}

/// Returns what a finish reason says, and whether it is the API's own word.
///
/// An unfinished chunk carries `null`; some engines write that as a text, or as none. A word
/// outside the vocabulary says nothing about the end of an answer.
pub(crate) fn finish_of(reason: &str) -> (Finish, bool) {
    if let Some(known) = FINISH_REASONS.iter().find(|known| reason == **known) {
        return (Finish::Ended(known), true);
    }
    let words = reason.trim().to_ascii_lowercase();
    let word = undressed(reason);
    let finish = match word.as_str() {
        "" | "null" | "none" | "nil" | "undefined" | "unfinished" | "in_progress" => Finish::NotYet,
        "stop" | "eos" | "eos_token" | "stop_token" | "stop_sequence" | "stop_str" | "end_turn"
        | "end" | "complete" | "completed" | "finished" => Finish::Ended("stop"),
        "length"
        | "max_tokens"
        | "max_length"
        | "max_new_tokens"
        | "max_output_tokens"
        | "max_tokens_reached"
        | "model_length"
        | "length_limit"
        | "token_limit"
        | "context_length_exceeded"
        | "model_context_window_exceeded" => Finish::Ended("length"),
        "tool_calls" | "tool_call" | "tool_use" => Finish::Ended("tool_calls"),
        "function_call" => Finish::Ended("function_call"),
        // Those of Z.ai, Gemini and Amazon Bedrock too.
        "content_filter"
        | "content_filtered"
        | "safety"
        | "refusal"
        | "sensitive"
        | "recitation"
        | "prohibited_content"
        | "blocklist"
        | "spii"
        | "guardrail_intervened" => Finish::Ended("content_filter"),
        "insufficient_system_resource" => Finish::Failed,
        _ if names_failure(&words) => Finish::Failed,
        _ => Finish::Unknown,
    };
    (finish, false)
}

/// Returns a finish reason as the API spells words: `FinishReason.MAX_TOKENS`, the name of a value of
/// an enumeration, and `maxTokens` are `max_tokens`.
fn undressed(reason: &str) -> String {
    let value = reason.trim().rsplit_once('.').filter(|(kind, _)| {
        kind.chars().all(char::is_alphanumeric) && kind.to_ascii_lowercase().ends_with("reason")
    });
    let value = value.map_or(reason.trim(), |(_, value)| value);
    let mut word = String::with_capacity(value.len() + 2);
    let mut was_lower = false;
    for c in value.chars() {
        if c.is_ascii_uppercase() && was_lower {
            word.push('_');
        }
        was_lower = c.is_ascii_lowercase();
        word.push(if matches!(c, '-' | ' ') { '_' } else { c.to_ascii_lowercase() });
    }
    match word.strip_prefix("finish_reason_") {
        Some(bare) => bare.to_owned(),
        None => word,
    }
}

/// Whether words in lower case tell that something went wrong: `internal_error`, `timed out`.
pub(crate) fn names_failure(words: &str) -> bool {
    let parts = [
        "error",
        "exception",
        "fail",
        "abort",
        "cancel",
        "timeout",
        "timed",
        "preempt",
        "crash",
        "kill",
        "out_of_memory",
        "out of memory",
        "overload",
        "unavailable",
        "disconnect",
        "interrupt",
        "deadline",
        "refused",
        "traceback",
        "evicted",
    ];
    let mut single = words.split(|c: char| !c.is_ascii_alphanumeric());
    parts.iter().any(|part| words.contains(part))
        || single.any(|word| matches!(word, "oom" | "died" | "dead" | "fatal" | "panic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_the_vocabulary_is_no_end() {
        let check = |reason: &str, expected| assert_eq!(finish_of(reason), expected, "{reason:?}");
        check("stop", (Finish::Ended("stop"), true));
        check("length", (Finish::Ended("length"), true));
        for nothing in ["", " ", "null", "None", "NULL"] {
            check(nothing, (Finish::NotYet, false));
        }
        check("eos_token", (Finish::Ended("stop"), false));
        for length in [
            "MAX_TOKENS",
            "FinishReason.MAX_TOKENS",
            "FINISH_REASON_MAX_TOKENS",
            "maxTokens",
            "max-tokens",
            "length_limit",
            "max_tokens_reached",
        ] {
            check(length, (Finish::Ended("length"), false));
        }
        for filter in ["sensitive", "RECITATION", "guardrail_intervened", "contentFilter"] {
            check(filter, (Finish::Ended("content_filter"), false));
        }
        check("endTurn", (Finish::Ended("stop"), false));
        check("Ended. Because", (Finish::Unknown, false));
        for failed in [
            "abort",
            "internal_error",
            "server_error",
            "network_error",
            "timeout",
            "preempted",
            "engine_error: it died",
            "ERROR_TOXIC",
            "OOM",
        ] {
            check(failed, (Finish::Failed, false));
        }
        check("model_context_window_exceeded", (Finish::Ended("length"), false));
        check("because", (Finish::Unknown, false));
    }
}
