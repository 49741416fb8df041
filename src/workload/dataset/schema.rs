//! What the first row of a file says of its columns, by the names that data sets have for their parts.

use serde_json::Value;

use crate::plan::cell::Source;
use crate::workload::columns::lookup;
use crate::workload::dataset::{format, traces, turns};
use crate::workload::error::DataError;
use crate::workload::input::Input;
use crate::workload::rows;

/// Which parts the columns of a file play.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// Parts and their columns.
    pub(crate) columns: Vec<(&'static str, String)>,
    /// Template of the prompt, where it is of two columns.
    pub(crate) prompt: Option<String>,
}

/// Lists of messages, by what they are called; that of a request of a batch stands in its body.
const MESSAGES: [&str; 8] = [
    "messages",
    "conversations",
    "conversation",
    "dialog",
    "dialogue",
    "chat",
    "items",
    "/body/messages",
];
/// Texts that ask something, likewise.
const TEXTS: [&str; 14] = [
    "question",
    "query",
    "problem",
    "instruction",
    "text",
    "input",
    "content",
    "text_input",
    "Question",
    "Prompt",
    "Problem",
    "/body/prompt",
    // The first turn of MT-bench and of UltraChat.
    "/turns/0",
    "/data/0",
];
/// What an instruction is about, in a column of its own.
const ABOUT: [&str; 2] = ["input", "context"];
/// What stands in front of a question, likewise: the text that it is about.
const CONTEXT: &str = "context";
/// What the model is told first, likewise.
const SYSTEMS: [&str; 2] = ["system", "system_prompt"];

impl Schema {
    /// Returns what the first row of a file says; `None` where it says nothing, with the names of
    /// its columns.
    ///
    /// # Errors
    /// If it has no row that can be read.
    pub(crate) fn of(source: Source, input: Input) -> Result<Result<Self, Vec<String>>, DataError> {
        let name = input.name().to_owned();
        let mut rows = rows::open(input, format(source), &|_| true)?;
        let empty = || DataError::new(&name, "no row", "give a file with rows");
        let row = rows.next().ok_or_else(empty)?.map_err(|bad| bad.error)?;
        let columns = row.fields.as_object().into_iter().flat_map(|fields| fields.keys().cloned());
        Ok(Self::of_row(&row.fields).ok_or_else(|| columns.collect()))
    }

    fn of_row(row: &Value) -> Option<Self> {
        let is_text = |name: &&str| lookup(row, name).is_some_and(Value::is_string);
        let mut schema = Self::of_prompt(row)?;
        let asks = schema.prompt.is_some() || schema.has("prompt") || schema.has("messages");
        // A list of messages may bring its own.
        let brings_one = schema.columns.iter().any(|(_, column)| {
            let first = lookup(row, column).and_then(|messages| messages.get(0));
            first.and_then(|first| first.get("role")).is_some_and(|role| role == "system")
        });
        let system = SYSTEMS.into_iter().find(is_text).filter(|_| asks && !brings_one);
        schema.columns.extend(system.map(|column| ("system", column.to_owned())));
        Some(schema)
    }

    fn of_prompt(row: &Value) -> Option<Self> {
        let one =
            |part, column: &str| Self { columns: vec![(part, column.to_owned())], prompt: None };
        let is_text = |name: &&str| lookup(row, name).is_some_and(Value::is_string);
        if row.get("prompt").is_some_and(|it| it.is_string() || it.is_array()) {
            return Some(one("prompt", "prompt"));
        }
        let messages = MESSAGES.iter().find_map(|name| Some((*name, part_of_messages(row, name)?)));
        if let Some((name, part)) = messages {
            return Some(one(part, name));
        }
        let about = ABOUT.into_iter().find(is_text);
        if let (Some(about), true) = (about, is_text(&"instruction")) {
            let prompt = format!(
                "{{{{ instruction }}}}{{% if {about} is defined and {about} %}}\n\n{{{{ {about} }}}}{{% \
                 endif %}}"
            );
            return Some(Self { columns: Vec::new(), prompt: Some(prompt) });
        }
        let asked = TEXTS.into_iter().find(is_text);
        if let Some(name @ ("question" | "query" | "problem" | "input")) = asked
            && is_text(&CONTEXT)
        {
            let prompt = format!(
                "{{% if {CONTEXT} is defined and {CONTEXT} %}}{{{{ {CONTEXT} }}}}\n\n{{% endif \
                 %}}{{{{ {name} }}}}"
            );
            return Some(Self { columns: Vec::new(), prompt: Some(prompt) });
        }
        if let (Some("question"), Some(written)) = (asked, row.get(CONTEXT).and_then(paragraphs)) {
            let prompt = format!(
                "{{% if {CONTEXT} is defined and {CONTEXT} %}}{written}{{% endif %}}{{{{ question }}}}"
            );
            return Some(Self { columns: Vec::new(), prompt: Some(prompt) });
        }
        if let Some(name) = asked {
            return Some(one("prompt", name));
        }
        let lengths = ["input-length", "output-length", "hash-ids"];
        let found = lengths.iter().filter_map(|part| Some((*part, traces::column(row, part)?)));
        let columns: Vec<_> = found.collect();
        let has_input = columns.iter().any(|(part, _)| *part == "input-length");
        has_input.then_some(Self { columns, prompt: None })
    }

    /// Whether a column plays a part.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.columns.iter().any(|(known, _)| *known == part)
    }

    /// Says which column plays which part.
    pub(crate) fn told(&self) -> String {
        let columns = self.columns.iter().map(|(part, column)| format!("{part} from `{column}`"));
        let prompt = self.prompt.iter().map(|prompt| format!("prompt from {prompt:?}"));
        columns.chain(prompt).collect::<Vec<_>>().join(", ")
    }
}

/// Returns what writes the paragraphs out that a question is about: titles and lists of sentences,
/// beside each other or in pairs, as `HotpotQA` has them on the hub and in its own files.
fn paragraphs(context: &Value) -> Option<&'static str> {
    let is_list_of = |list: &Value, is: fn(&Value) -> bool| list.get(0).is_some_and(is);
    if let Some((titles, sentences)) = context.get("title").zip(context.get("sentences")) {
        let fits = is_list_of(titles, Value::is_string) && is_list_of(sentences, Value::is_array);
        return fits.then_some(
            "{% for title in context.title %}{{ title }}\n{{ context.sentences[loop.index0]|join \
             }}\n\n{% endfor %}",
        );
    }
    let first = context.get(0)?;
    let is_pair = first.get(0).is_some_and(Value::is_string)
        && first.get(1).is_some_and(|sentences| is_list_of(sentences, Value::is_string));
    is_pair.then_some(
        "{% for title, sentences in context %}{{ title }}\n{{ sentences|join }}\n\n{% endfor %}",
    )
}

/// Returns the part that a list of messages plays: requests of a chat are sent as they stand, of other
/// conversations the first turn is.
fn part_of_messages(row: &Value, name: &str) -> Option<&'static str> {
    let value = if name.starts_with('/') { row.pointer(name)? } else { row.get(name)? };
    if let Some(text) = value.as_str() {
        let written: Value = serde_json::from_str(text).ok()?;
        return turns::is_message(written.get(0)?).then_some("messages");
    }
    let first = value.get(0).filter(|first| turns::is_message(first))?;
    Some(if first.get("role").is_some() { "prompt" } else { "messages" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workload::prompt::PromptTemplate;

    #[test]
    fn paragraphs_stand_in_front_of_the_question_about_them() {
        let of_hub = json!({ "title": ["T", "U"], "sentences": [["One.", " Two."], ["Three."]] });
        let of_file = json!([["T", ["One.", " Two."]], ["U", ["Three."]]]);
        for context in [of_hub, of_file] {
            let row = json!({ "id": "5", "question": "q?", "answer": "a", "context": context });
            let template = Schema::of_row(&row).unwrap().prompt.unwrap();
            let template = PromptTemplate::new(&template).unwrap();
            let told = "T\nOne. Two.\n\nU\nThree.\n\nq?";
            assert_eq!(template.render(&row).unwrap(), told);
            assert_eq!(template.render(&json!({ "question": "q?", "context": [] })).unwrap(), "q?");
        }
        let other = json!({ "question": "q?", "context": { "a": 1 } });
        assert_eq!(Schema::of_row(&other).unwrap().told(), "prompt from `question`");
    }

    #[test]
    fn parts_are_found_by_the_names_and_forms_of_columns() {
        let check = |row: Value, expected: &str| {
            let told = Schema::of_row(&row).map(|schema| schema.told());
            assert_eq!(told.unwrap_or_default(), expected, "{row}");
        };
        let chat = json!([{ "role": "user", "content": "Hi" }]);
        let sharegpt = json!([{ "from": "human", "value": "Hi" }]);
        check(json!({ "messages": chat }), "prompt from `messages`");
        check(json!({ "body": { "messages": chat } }), "prompt from `/body/messages`");
        check(json!({ "messages": chat.to_string() }), "messages from `messages`");
        check(
            json!({ "conversations": sharegpt, "system": "S" }),
            "messages from `conversations`, system from `system`",
        );
        check(json!({ "prompt": "p", "messages": chat }), "prompt from `prompt`");
        check(json!({ "body": { "prompt": "p" } }), "prompt from `/body/prompt`");
        check(json!({ "Question": "q", "Answer": "a" }), "prompt from `Question`");
        check(json!({ "category": 1, "turns": ["q", "r"] }), "prompt from `/turns/0`");
        check(
            json!({ "prompt": "p", "system": "S" }),
            "prompt from `prompt`, system from `system`",
        );
        check(
            json!({ "question": "q", "system_prompt": "S", "response": "r" }),
            "prompt from `question`, system from `system_prompt`",
        );
        for name in ["question", "input"] {
            check(
                json!({ name: "q", "context": "c", "answers": [] }),
                &format!(
                    r#"prompt from "{{% if context is defined and context %}}{{{{ context }}}}\n\n{{% endif %}}{{{{ {name} }}}}""#
                ),
            );
        }
        check(json!({ "prompt": chat }), "prompt from `prompt`");
        check(json!({ "question": "q", "answer": "a", "text": "t" }), "prompt from `question`");
        check(json!({ "text": "t" }), "prompt from `text`");
        check(
            json!({ "instruction": "i", "input": "", "output": "o" }),
            r#"prompt from "{{ instruction }}{% if input is defined and input %}\n\n{{ input }}{% endif %}""#,
        );
        check(json!({ "instruction": "i", "output": "o" }), "prompt from `instruction`");
        check(
            json!({ "timestamp": 1, "input_length": 5, "output_length": 6, "hash_ids": [] }),
            "input-length from `input_length`, output-length from `output_length`, hash-ids from `hash_ids`",
        );
        check(json!({ "messages": "none", "a": 1 }), "");
        check(json!({ "a": "b" }), "");
    }
}
