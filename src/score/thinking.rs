//! Thinking that stands in an answer's text, where the engine did not take it out.

/// How models open and close their thinking, in small letters; [`tag`] knows the many that say so
/// by name, and [`channel`] those of gpt-oss. Sources: the chat templates of Magistral, Kimi,
/// Gemma 4, Apertus, `MedGemma`, s1 and Granite 3.2, and the reasoning parsers of vLLM and `SGLang`.
const MARKS: [(&str, &str); 9] = [
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel>thought", "<channel|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<unused94>thought", "<unused95>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<|im_start|>think", "<|im_start|>answer"),
    ("here is my thought process:", "here is my response:"),
    ("here's my thought process:", "here's my response:"),
];
/// Begins a message of gpt-oss: the name of its channel stands behind.
const CHANNEL: &str = "<|channel|>";
/// Ends what is said of a message in front of it: `final <|constrain|>json<|message|>`.
const MESSAGE: &str = "<|message|>";
/// Bytes between the two.
const HEADER_MAX: usize = 120;
/// What is left of the marks between two messages of gpt-oss where special tokens are skipped, as
/// engines do that have no parser for it: `analysis2+2 is 4.assistantfinal4`.
const BARE_FINAL: &str = "assistantfinal";
const BARE_ANALYSIS: &str = "analysis";
/// What a tag around thinking is called, in part: `<think>`, `<seed:think>`, `<longcat_think>`,
/// `<|START_THINKING|>`, `<|begin_of_thought|>`, `<think:6124c78e>`.
const NAMES: [&str; 4] = ["think", "thought", "reasoning", "reflection"];
/// Bytes between the brackets of such a tag.
const TAG_MAX: usize = 40;

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

/// Tells an answer from its thinking. The opening mark may have stood in the prompt. An answer that
/// stands in front of thinking that ends the text is an answer, too.
pub(crate) fn spoken(text: &str) -> Spoken<'_> {
    let marks = marks(text);
    let behind = marks.iter().rposition(|mark| !mark.opens);
    let rest_begins = behind.map_or(0, |at| marks[at].end);
    let open = marks[behind.map_or(0, |at| at + 1)..].first();
    let mut answer = &text[rest_begins..open.map_or(text.len(), |mark| mark.start)];
    if let Some(close) = behind.filter(|_| open.is_none() && answer.trim().is_empty())
        && let Some(opening) = marks[..close].iter().rfind(|mark| mark.opens)
    {
        let before = spoken(&text[..opening.start]);
        if !before.text.trim().is_empty() {
            answer = before.text;
        }
    }
    Spoken { text: answer, has_thinking: !marks.is_empty(), is_open: open.is_some() }
}

/// A mark of thinking in a text.
struct Mark {
    start: usize,
    end: usize,
    opens: bool,
}

/// Returns the marks in a text, in order, in capitals or not.
fn marks(text: &str) -> Vec<Mark> {
    let both = MARKS.iter().flat_map(|(open, close)| [(*open, true), (*close, false)]);
    let fixed = both.flat_map(|(mark, opens)| {
        let places = places(text, mark);
        places.map(move |start| Mark { start, end: start + mark.len(), opens })
    });
    let tags = text.match_indices('<').filter_map(|(start, _)| {
        let (length, opens) = tag(&text[start..])?;
        let (before, behind) = (&text[..start], &text[start + length..]);
        let is_meant =
            !opens || !is_mention(before, behind) && !is_parameter(before, &text[start..]);
        is_meant.then_some(())?;
        Some(Mark { start, end: start + length, opens })
    });
    let channels = text.match_indices(CHANNEL).filter_map(|(start, _)| channel(text, start));
    let mut marks: Vec<Mark> = fixed.chain(tags).chain(channels).chain(bare(text)).collect();
    marks.sort_by_key(|mark| mark.start);
    marks
}

/// Returns the mark that a message of gpt-oss begins with: one in `analysis` opens thinking, one in
/// `final` closes it.
fn channel(text: &str, start: usize) -> Option<Mark> {
    let behind = &text[start + CHANNEL.len()..];
    let (name, opens) = [(BARE_ANALYSIS, true), ("final", false)]
        .into_iter()
        .find(|(name, _)| behind.starts_with(name))?;
    let header = behind.find(MESSAGE).filter(|at| {
        let header = &behind[..*at];
        header.len() <= HEADER_MAX && !header.contains(CHANNEL) && !header.contains('\n')
    });
    let length = header.map_or(name.len(), |at| at + MESSAGE.len());
    Some(Mark { start, end: start + CHANNEL.len() + length, opens })
}

/// Returns the marks of gpt-oss without their special tokens. "analysis" at the beginning is a word
/// of the answer where a blank goes on behind it and no final message does.
fn bare(text: &str) -> Vec<Mark> {
    let finals = text.match_indices(BARE_FINAL);
    let mut marks: Vec<Mark> =
        finals.map(|(start, mark)| Mark { start, end: start + mark.len(), opens: false }).collect();
    let start = text.len() - text.trim_start().len();
    if let Some(behind) = text[start..].strip_prefix(BARE_ANALYSIS) {
        let is_glued = behind.starts_with(|c: char| c.is_alphanumeric() && !c.is_lowercase());
        if is_glued || !marks.is_empty() {
            marks.insert(0, Mark { start, end: start + BARE_ANALYSIS.len(), opens: true });
        }
    }
    marks
}

/// Returns the length of a tag around thinking with which a text begins, and whether it opens.
fn tag(text: &str) -> Option<(usize, bool)> {
    let end = text.bytes().take(TAG_MAX).position(|byte| byte == b'>')?;
    // `<thinking type="deep">`, `</think >`
    let (name, attributes) = text[1..end].split_once(' ').unwrap_or((&text[1..end], ""));
    (attributes.trim().is_empty() || attributes.contains('=')).then_some(())?;
    let name = name.to_ascii_lowercase();
    // Switches: `<no_think>`.
    if name.trim_start_matches('/').starts_with("no") || name.ends_with("off") {
        return None;
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "|/_:-".contains(c);
    let is_one = name.chars().all(is_word) && NAMES.iter().any(|known| name.contains(known));
    let begins = name.trim_start_matches('|');
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let closes =
        begins.starts_with('/') || begins.starts_with("end") || words.any(|it| it == "end");
    is_one.then_some((end + 1, !closes))
}

/// Whether a sentence speaks of the tag between two texts: `I use the <think> tag`.
fn is_mention(before: &str, behind: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic();
    let quotes = [('`', '`'), ('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’')];
    let is_quoted =
        quotes.iter().any(|(open, close)| before.ends_with(*open) && behind.starts_with(*close));
    let behind_blank = behind.strip_prefix(' ').unwrap_or_default();
    let next = behind_blank.split(|c: char| !c.is_alphabetic()).next();
    if matches!(next, Some("tag" | "tags" | "block" | "blocks")) {
        return true;
    }
    let goes_on = behind.strip_prefix(' ').is_some_and(|rest| rest.starts_with(char::is_lowercase));
    is_quoted || goes_on && before.strip_suffix(' ').is_some_and(|rest| rest.ends_with(is_letter))
}

/// Whether what looks like a tag is the parameter of a type: `List<Thought>`. `<think>` itself is a
/// tag wherever it stands.
fn is_parameter(before: &str, tag: &str) -> bool {
    let is_known = ["<think>", "<thinking>"].iter().any(|known| tag.starts_with(known));
    !is_known && before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Returns where a mark stands, in capitals or not.
fn places<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = usize> + 't {
    let (start, length) = (mark.chars().next().unwrap_or_default(), mark.len());
    let capital = start.to_ascii_uppercase();
    text.match_indices([start, capital]).map(|(at, _)| at).filter(move |at| {
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
        check("if 2 <thinner and 3 > 1", "if 2 <thinner and 3 > 1", false, false);
        check("7 <think>5</think>\n", "7 ", true, false);
        check("<think>a</think> 7 <think>5</think>", " 7 ", true, false);
        let named = "I use the <think> tag, then 7";
        check(named, named, false, false);
        check("`<think>` and 7", "`<think>` and 7", false, false);
        check("So. <think> is it 5", "So. ", true, true);
        for text in [
            "```java\nList<Thought> t;\n```\n7",
            "Vec<ThinkItem> 7",
            "std::vector<Thought> 7",
            "(<think> tags omitted) 7",
            "\"<think>\" tags, 7",
            "<nothink>7",
            "<no_think>7",
            "<think_off>7",
        ] {
            check(text, text, false, false);
        }
        check("<thinking type=\"deep\">5", "", true, true);
        check("5</think >7", "7", true, false);
        check("Okay<think>5", "Okay", true, true);
    }

    #[test]
    fn thinking_without_its_special_tokens_is_told_apart() {
        let check = |text, expected| assert_eq!(spoken(text).text, expected, "{text}");
        check("analysisWe add.assistantfinal7", "7");
        check("analysis We add.\n\nassistantfinal 7", " 7");
        check("analysisWe callassistantcommentary to=f code{}assistantfinal7", "7");
        check("analysisWe add.assistant<|channel|>final7", "7");
        check("analysisWe add 7", "");
        for answer in ["analysis of it gives 7", "An analysis gives 7", "analysis", "The final 7"] {
            check(answer, answer);
        }
    }

    #[test]
    fn every_model_marks_its_thinking_in_its_own_way() {
        let around = [
            ("<thinking>", "</thinking>"),
            ("<Thought>", "</Thought>"),
            ("<reasoning>", "</reasoning>"),
            ("<REFLECTION>", "</REFLECTION>"),
            ("<seed:think>", "</seed:think>"),
            ("<mm:think>", "</mm:think>"),
            ("<longcat_think>", "</longcat_think>"),
            ("<think:6124c78e>", "</think:6124c78e>"),
            ("<ifm|think_fast>", "</ifm|think_fast>"),
            ("<|START_THINKING|>", "<|END_THINKING|>"),
            ("<|begin_of_thought|>", "<|end_of_thought|>"),
            ("<begin_of_thought>", "<end_of_thought>"),
            ("<|thinking_start|>", "<|thinking_end|>"),
            ("<|reasoning_start|>", "<|reasoning_end|>"),
            ("<think>", "<end_think>"),
            ("<|channel>thought\n", "<channel|>"),
            ("<|inner_prefix|>", "<|inner_suffix|>"),
            ("<unused94>thought\n", "<unused95>"),
            ("<scratchpad>", "</scratchpad>"),
            ("Here is my thought process: ", "Here is my response:"),
            ("Here's my thought process: ", "Here's my response:"),
            ("<|im_start|>think\n", "<|im_start|>answer"),
            ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
            ("<|channel|>analysis", "<|channel|>final <|constrain|>json<|message|>"),
            ("<|channel|>analysis to=x code<|message|>", "<|channel|>final"),
            ("analysis", "assistantfinal"),
        ];
        for (open, close) in around {
            let expected = Spoken { text: " 7", has_thinking: true, is_open: false };
            assert_eq!(spoken(&format!("{open}5{close} 7")), expected, "{open}");
            assert_eq!(spoken(&format!("5{close} 7")), expected, "{close}");
            let expected = Spoken { text: "", has_thinking: true, is_open: true };
            assert_eq!(spoken(&format!("{open}5")), expected, "{open}");
        }
    }
}
