//! Where an answer ends, as its model goes on to the next question or to another's turn.

/// Words that begin the next question, which a model without an end goes on to.
const NEXT_QUESTION: [&str; 6] = ["question", "q", "problem", "human", "user", "instruction"];
/// The same in the middle of a line, and marks of the end of a model's turn: where
/// lm-evaluation-harness stops the generation of GSM8K, and what chat templates write.
const NEXT_TURN: [&str; 20] = [
    "Question:",
    "Q:",
    "</s>",
    "[INST]",
    "<|im_end|>",
    "<|im_start|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end|>",
    "<|return|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|user|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_turn>",
    "<start_of_turn>",
    "<turn|>",
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
];

/// Where an answer ends.
pub(super) struct End {
    pub at: usize,
    /// Whether a mark of the model's turn says so, and no words.
    pub is_turn: bool,
}

/// Returns where the next question begins. A text that begins with one asks itself, and goes on
/// with its own.
pub(super) fn next_question(text: &str) -> Option<End> {
    let text_begins = text.len() - text.trim_start().len();
    // "Restate the Question: how many?" asks no other.
    let ends_sentence = |at: usize| {
        let before = text[..at].trim_end_matches([' ', '*', '#', '[']);
        !before.ends_with(|c: char| c.is_alphabetic() || matches!(c, ',' | ';' | '-'))
            && !text[..at].ends_with(|c: char| c.is_alphanumeric())
    };
    let turns = NEXT_TURN.iter().filter_map(|mark| {
        let mut places = text.match_indices(mark).map(|(at, _)| at);
        places.find(|at| if mark.ends_with(':') { ends_sentence(*at) } else { *at > text_begins })
    });
    let mut at = 0;
    let lines = text.split_inclusive('\n').filter_map(|line| {
        at += line.len();
        begins_question(line).then_some(at - line.len())
    });
    let at = turns.chain(lines).min()?;
    let is_turn = text[at..].starts_with(['<', '[']) && !begins_question(&text[at..]);
    (at > text_begins).then_some(End { at, is_turn })
}

fn begins_question(line: &str) -> bool {
    let words =
        line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '#' | '['));
    let name = words.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let behind = words[name.len()..]
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '*' | '#'));
    behind.starts_with(':') && NEXT_QUESTION.iter().any(|word| word.eq_ignore_ascii_case(name))
}
