//! Thinking that stands in an answer's text, where the engine did not take it out.

/// How models open and close their thinking. Sources: the chat templates of `DeepSeek` R1 and
/// Qwen 3 (`<think>`), Magistral, Kimi, Seed, Command A Reasoning, Sky-T1 and gpt-oss.
const MARKS: [(&str, &str); 10] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
];

/// An answer's text, with its thinking told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoken<'a> {
    /// What stands behind the last end of thinking, and in front of thinking that has no end.
    pub text: &'a str,
    /// Whether any mark of thinking was there.
    pub has_thinking: bool,
    /// Whether thinking was opened and not closed.
    pub is_open: bool,
}

/// Tells an answer from its thinking. The opening mark may have stood in the prompt.
pub(crate) fn spoken(text: &str) -> Spoken<'_> {
    let mut behind = 0;
    for (_, close) in MARKS {
        behind = behind.max(last(text, close).map_or(0, |at| at + close.len()));
    }
    let rest = &text[behind..];
    let open = MARKS.iter().filter_map(|(open, _)| first(rest, open)).min();
    Spoken {
        text: &rest[..open.unwrap_or(rest.len())],
        has_thinking: behind > 0 || open.is_some(),
        is_open: open.is_some(),
    }
}

fn first(text: &str, mark: &str) -> Option<usize> {
    places(text, mark).next()
}

fn last(text: &str, mark: &str) -> Option<usize> {
    places(text, mark).last()
}

/// Returns where a mark stands, in capitals or not.
fn places<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = usize> + 't {
    let (start, length) = (mark.chars().next().unwrap_or_default(), mark.len());
    text.match_indices(start).map(|(at, _)| at).filter(move |at| {
        text.as_bytes()
            .get(*at..at + length)
            .is_some_and(|found| found.eq_ignore_ascii_case(mark.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_behind_the_last_end_of_its_thinking() {
        let check = |text: &str, expected: &str, has_thinking, is_open| {
            let expected = Spoken { text: expected, has_thinking, is_open };
            assert_eq!(spoken(text), expected, "{text}");
        };
        check("7", "7", false, false);
        check("<think>5</think> 7", " 7", true, false);
        check("5</think> 7", " 7", true, false);
        check("<think>5</think> or <think>6</think> 7", " 7", true, false);
        check("<think>5", "", true, true);
        check("7 <THINK>5", "7 ", true, true);
        check("<think>5</think>", "", true, false);
        check("[THINK]5[/THINK]7", "7", true, false);
        check("◁think▷5◁/think▷7", "7", true, false);
        check(
            "<|channel|>analysis<|message|>5<|end|><|channel|>final<|message|>7",
            "7",
            true,
            false,
        );
        check("1 < 2 [th", "1 < 2 [th", false, false);
    }
}
