//! `ShareGPT` V3: conversations of people with a chat service, filtered as serving benchmarks do.
//!
//! The filter is that of vLLM's and SGLang's serving benchmarks: at least two turns; prompt
//! (up to the first answer) and answer of at least 4 tokens each; at most 1024 tokens of prompt and
//! 2048 in all.

use crate::workload::bad_rows::RowKind;
use crate::workload::dataset::in_order::in_order;
use crate::workload::dataset::turns::{self, Conversation};
use crate::workload::dataset::{Candidate, Lengths, Picked, Problem, Reading, table};
use crate::workload::request::{Message, Prompt, Sample};
use crate::workload::rows::Row;

const TOKENS_MIN: u32 = 4;
const PROMPT_TOKENS_MAX: u32 = 1024;
const TOKENS_MAX: u32 = 2048;

/// The column of the conversations, and the one that fine-tuning tools put beside it.
pub(super) const COLUMNS: &[(&str, &str)] = &[("messages", "conversations"), ("system", "system")];
/// What other files of this form call it.
pub(super) const ALSO: [&str; 5] = ["conversation", "messages", "items", "dialog", "dialogue"];

pub(super) fn pick(reading: &Reading<'_>, row: &Row) -> Result<Picked, Problem> {
    let column = reading.columns.name("messages").unwrap_or("conversations");
    let found = reading.columns.get(&row.fields, "messages").map(|value| (column, value));
    let also = || ALSO.iter().filter(|_| !reading.columns.is_asked("messages"));
    let found = found.or_else(|| also().find_map(|name| Some((*name, row.fields.get(*name)?))));
    let Some((column, value)) = found else {
        return Ok(Picked::LeftOut(RowKind::NoConversation));
    };
    if value.as_array().is_some_and(Vec::is_empty) || value.as_str() == Some("[]") {
        return Ok(Picked::LeftOut(RowKind::NoConversation));
    }
    let Conversation { turns, later, answer, changed } =
        match turns::conversation(value, in_order(row, column), reading.plan) {
            Ok(conversation) => conversation,
            Err(unsent) if unsent.kind.is_rule() => return Ok(Picked::LeftOut(unsent.kind)),
            Err(unsent) => return Err(Problem::of(unsent, column)),
        };
    let Some(answer) = answer else { return Ok(Picked::LeftOut(RowKind::FewTurns)) };
    let turns = table::with_system(reading, row, turns)?;
    let prompt = match &turns[0] {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => all_texts(messages),
        Prompt::Tokens(_) | Prompt::OfLength(_) => unreachable!("a conversation is of texts"),
    };
    let (id, output_tokens) = (table::id(reading, row)?, table::output_length(reading, row)?);
    let tools = table::tools(reading, row);
    let sample = Sample { id, turns, later, output_tokens, tools, ..Sample::default() };
    let lengths = Lengths::ToFilter { prompt, answer };
    let (time, turn_times) = (None, Vec::new());
    let candidate = Candidate { sample, lengths, changed, time, turn_times, example: None };
    Ok(Picked::Candidate(Box::new(candidate)))
}

fn all_texts(messages: &[Message]) -> String {
    messages.iter().map(Message::text).collect::<Vec<_>>().join("\n\n")
}

/// Returns why a conversation of such lengths is left out, if it is.
pub(super) fn left_out(n_prompt: u32, n_answer: u32) -> Option<RowKind> {
    if n_prompt < TOKENS_MIN || n_answer < TOKENS_MIN {
        Some(RowKind::ShortText)
    } else if n_prompt > PROMPT_TOKENS_MAX {
        Some(RowKind::LongPrompt)
    } else if n_prompt + n_answer > TOKENS_MAX {
        Some(RowKind::LongInAll)
    } else {
        None
    }
}
