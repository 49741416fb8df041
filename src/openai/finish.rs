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
        "" | "null" | "none" | "nil" | "undefined" | "unfinished" | "not_finished"
        | "in_progress" => Finish::NotYet,
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
        _ if names_failure(&words) || names_quota(&word) => Finish::Failed,
        _ if names_cut(&word) => Finish::Ended("length"),
        _ if names_stop(&word) => Finish::Ended("stop"),
        _ => Finish::Unknown,
    };
    (finish, false)
}

/// Returns a finish reason as the API spells words: `FinishReason.MAX_TOKENS`, the name of a value of
/// an enumeration, `maxTokens` and `<|max_tokens|>` are `max_tokens`.
fn undressed(reason: &str) -> String {
    let bare = reason.trim_matches(|c: char| !c.is_alphanumeric());
    let value = bare.rsplit_once('.').filter(|(kind, _)| {
        kind.chars().all(char::is_alphanumeric) && kind.to_ascii_lowercase().ends_with("reason")
    });
    let value = value.map_or(bare, |(_, value)| value);
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

/// Whether a word tells that a limit cut the answer off: `length`, `MAX_TOKENS`, `MiniMax`'s
/// `max_output`, Aleph Alpha's `maximum_tokens`, Reka's `context`, watsonx's
/// `TIME_LIMIT`.
fn names_cut(word: &str) -> bool {
    let holds = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    holds(&["length", "limit", "truncat", "context", "budget"])
        || (holds(&["max"]) && holds(&["token", "output"]))
}

/// Whether a word tells of a limit of the client's, by which the server gave the answer up.
fn names_quota(word: &str) -> bool {
    ["rate_limit", "quota"].iter().any(|part| word.contains(part))
}

/// Whether a word tells that the model ended, and nothing else: Qianfan's `normal`, `eos_token`,
/// `stop_sequence`, `<|eot_id|>`.
fn names_stop(word: &str) -> bool {
    let is_end = |part: &str| {
        [
            "stop",
            "stopped",
            "eos",
            "eot",
            "eom",
            "end",
            "complete",
            "completed",
            "finished",
            "done",
            "normal",
            "natural",
            "ok",
        ]
        .contains(&part)
    };
    let is_beside = |part: &str| {
        [
            "token", "sequence", "str", "string", "word", "words", "id", "im", "of", "text",
            "turn", "message", "found", "reached", "hit",
        ]
        .contains(&part)
    };
    let mut parts = word.split('_');
    parts.clone().any(is_end) && parts.all(|part| is_end(part) || is_beside(part))
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
            "max_output",
            "maximum_tokens",
            "token_limit_reached",
            "max_completion_tokens",
            "context",
            "TIME_LIMIT",
            "truncated",
            "stopped_limit",
            "length\0",
        ] {
            check(length, (Finish::Ended("length"), false));
        }
        for filter in ["sensitive", "RECITATION", "guardrail_intervened", "contentFilter"] {
            check(filter, (Finish::Ended("content_filter"), false));
        }
        for stop in ["endTurn", "normal", "<|eot_id|>", "EOS_FOUND", "stop_str", "completed"] {
            check(stop, (Finish::Ended("stop"), false));
        }
        check("not_complete", (Finish::Unknown, false));
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
            "rate_limit_exceeded",
        ] {
            check(failed, (Finish::Failed, false));
        }
        check("model_context_window_exceeded", (Finish::Ended("length"), false));
        check("because", (Finish::Unknown, false));
    }
}
