//! Traces as they are published: which column plays which part, and what their numbers count.

use serde_json::Value;

use crate::plan::cell::TimeUnit;

/// A published form of traces.
#[derive(Debug)]
pub(super) struct Form {
    /// Its name, for messages.
    pub(super) name: &'static str,
    /// What its columns are called, folded; all have to be there.
    columns: &'static [&'static str],
    /// What its numbers of time count.
    pub(super) unit: Option<TimeUnit>,
    /// Prompt tokens that one of its `hash_ids` stands for.
    pub(super) block_tokens: u32,
}

/// Tokens of a block where nothing else is known: Mooncake's.
const BLOCK_TOKENS: u32 = 512;

/// The forms, the more special ones first.
const FORMS: [Form; 5] = [
    // alibaba-edu/qwen-bailian-usagetraces-anon, README.
    Form {
        name: "Qwen-Bailian's traces",
        columns: &["chatid", "parentchatid", "timestamp", "inputlength", "outputlength", "hashids"],
        unit: Some(TimeUnit::S),
        block_tokens: 16,
    },
    // Qin and others, "Mooncake: A KVCache-centric Disaggregated Architecture for LLM Serving",
    // arXiv:2407.00079, and the repository's description of its open traces.
    Form {
        name: "Mooncake's traces",
        columns: &["timestamp", "inputlength", "outputlength", "hashids"],
        unit: Some(TimeUnit::Ms),
        block_tokens: BLOCK_TOKENS,
    },
    // Wang and others, "BurstGPT: A Real-world Workload Dataset to Optimize LLM Serving Systems",
    // arXiv:2401.17644.
    Form {
        name: "BurstGPT",
        columns: &["timestamp", "requesttokens", "responsetokens", "logtype"],
        unit: Some(TimeUnit::S),
        block_tokens: BLOCK_TOKENS,
    },
    // Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md; its times are dates.
    Form {
        name: "Azure's traces",
        columns: &["timestamp", "contexttokens", "generatedtokens"],
        unit: None,
        block_tokens: BLOCK_TOKENS,
    },
    // microsoft/vidur, data/processed_traces.
    Form {
        name: "Vidur's traces",
        columns: &["arrivedat", "numprefilltokens", "numdecodetokens"],
        unit: Some(TimeUnit::S),
        block_tokens: BLOCK_TOKENS,
    },
];

/// What columns of a part are called in traces, folded.
const NAMES: [(&str, &[&str]); 7] = [
    (
        "timestamp",
        &["timestamp", "arrivaltime", "arrivaltimestamp", "arrivedat", "requesttime", "starttime"],
    ),
    (
        "input-length",
        &[
            "inputlength",
            "inputlen",
            "inputtokens",
            "ninputtokens",
            "numinputtokens",
            "isl",
            "promptlength",
            "promptlen",
            "prompttokens",
            "numprompttokens",
            "contexttokens",
            "requesttokens",
            "numprefilltokens",
            "prefilltokens",
        ],
    ),
    (
        "output-length",
        &[
            "outputlength",
            "outputlen",
            "outputtokens",
            "noutputtokens",
            "numoutputtokens",
            "osl",
            "completiontokens",
            "numcompletiontokens",
            "generatedtokens",
            "generationtokens",
            "responsetokens",
            "numdecodetokens",
            "decodetokens",
        ],
    ),
    ("hash-ids", &["hashids"]),
    ("session", &["sessionid", "conversationid"]),
    ("turn", &["chatid"]),
    ("parent", &["parentchatid"]),
];

/// Returns the published form that a row has.
pub(super) fn form(row: &Value) -> Option<&'static Form> {
    let names: Vec<String> = row.as_object()?.keys().map(|name| folded(name)).collect();
    let has = |column: &&str| names.iter().any(|name| name == column);
    FORMS.iter().find(|form| form.columns.iter().all(has))
}

/// Returns the column of a row that plays a part, by what such columns are called in traces.
pub(super) fn column(row: &Value, role: &str) -> Option<String> {
    let (_, known) = NAMES.iter().find(|(known, _)| *known == role)?;
    let names: Vec<&String> = row.as_object()?.keys().collect();
    known.iter().find_map(|wanted| {
        names.iter().find(|name| folded(name) == *wanted).map(|name| (*name).clone())
    })
}

/// Returns the part that a column plays in traces by what it is called.
pub(super) fn part(column: &str) -> Option<&'static str> {
    let column = folded(column);
    NAMES.iter().find_map(|(part, known)| known.contains(&column.as_str()).then_some(*part))
}

/// Returns a name without case, spaces and signs: `Request tokens` is `request_tokens`.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the tokens of a block of a form.
pub(super) fn block_tokens(form: Option<&Form>) -> u32 {
    form.map_or(BLOCK_TOKENS, |form| form.block_tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn published_forms_are_known_by_their_columns() {
        let check = |row: Value, expected: Option<&str>| {
            assert_eq!(form(&row).map(|form| form.name), expected, "{row}");
        };
        check(
            json!({"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": []}),
            Some("Mooncake's traces"),
        );
        check(
            json!({"chat_id": 1, "parent_chat_id": -1, "timestamp": 0.1, "input_length": 1,
                   "output_length": 1, "type": "text", "turn": 1, "hash_ids": []}),
            Some("Qwen-Bailian's traces"),
        );
        check(
            json!({"Timestamp": "5", "Model": "", "Request tokens": "", "Response tokens": "",
                   "Total tokens": "", "Log Type": ""}),
            Some("BurstGPT"),
        );
        check(
            json!({"TIMESTAMP": "", "ContextTokens": "", "GeneratedTokens": ""}),
            Some("Azure's traces"),
        );
        check(json!({"timestamp": 0, "prompt": ""}), None);
        check(json!({"timestamp": 0, "input_length": 1, "output_length": 1}), None);
    }

    #[test]
    fn columns_are_found_by_their_usual_names() {
        let row = json!({"Arrival Time": 0, "prompt_tokens": 1, "completion_tokens": 1});
        assert_eq!(column(&row, "timestamp").as_deref(), Some("Arrival Time"));
        assert_eq!(column(&row, "input-length").as_deref(), Some("prompt_tokens"));
        assert_eq!(column(&row, "output-length").as_deref(), Some("completion_tokens"));
        assert_eq!(column(&row, "hash-ids"), None);
    }
}
