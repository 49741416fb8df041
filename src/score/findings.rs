//! What the grades of a cell say of its grader, with examples.

use std::collections::BTreeMap;

use crate::score::answer::Answer;
use crate::score::item::{Class, Item};
use crate::score::scorer::Gold;

/// Examples that are kept of each kind.
const MAX_EXAMPLES: usize = 3;
/// Characters of an answer's end that an example shows.
const END_CHARS: usize = 40;

/// A kind of doubt about the grader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// The headline extractor found nothing.
    Unparsed,
    /// One of the first two extractors is right and the other is not.
    Differs,
    /// Thinking stood in a text of which an extractor sees all.
    Thinking,
    /// The answer was cut off, or ended inside its thinking.
    Truncated,
    /// The headline extractor found the gold's value in another form.
    WrongByFormat,
}

/// How often each kind was found among the answered items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The headline extractor.
    pub(crate) headline: String,
    /// Answered items.
    pub(crate) n: u64,
    found: BTreeMap<Finding, Found>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    n: u64,
    examples: Vec<String>,
}

impl Findings {
    /// Begins to count, with the name of the headline extractor.
    pub(crate) fn new(headline: String) -> Self {
        Self { headline, ..Self::default() }
    }

    /// Takes an answered item in; `sees_thinking` is whether an extractor sees all of a text.
    pub(crate) fn push(
        &mut self,
        item: &Item,
        answer: &Answer<'_>,
        gold: &Gold,
        sees_thinking: bool,
    ) {
        let headline = item.classes.first().copied();
        let kinds = [
            (Finding::Unparsed, headline == Some(Class::Unparsed)),
            (Finding::Differs, item.differs()),
            (Finding::Thinking, item.has_thinking && sees_thinking),
            (Finding::Truncated, headline == Some(Class::Truncated)),
            (Finding::WrongByFormat, headline == Some(Class::WrongByFormat)),
        ];
        self.n += 1;
        for (kind, _) in kinds.iter().filter(|(_, is_so)| *is_so) {
            let found = self.found.entry(*kind).or_default();
            found.n += 1;
            if found.examples.len() < MAX_EXAMPLES {
                found.examples.push(example(item, answer, gold));
            }
        }
    }

    /// Returns how often a kind was found where that is more than a share of the items, with
    /// examples as one text.
    pub(crate) fn above(&self, kind: Finding, share: f64) -> Option<(u64, String)> {
        let found = self.found.get(&kind)?;
        (found.n as f64 > share * self.n as f64).then(|| (found.n, found.examples.join("; ")))
    }
}

#[cfg(test)]
impl Findings {
    /// Returns every kind, in 60 of 100 items.
    pub(crate) fn of_everything() -> Self {
        use Finding::{Differs, Thinking, Truncated, Unparsed, WrongByFormat};
        let found = Found { n: 60, examples: vec!["row 5 ends \"so 72\"".to_owned()] };
        let kinds = [Unparsed, Differs, Thinking, Truncated, WrongByFormat];
        let found = kinds.map(|kind| (kind, found.clone())).into();
        Self { headline: "strict".to_owned(), n: 100, found }
    }
}

/// Tells an item: its row, the answer's end, what was found in it, and the gold.
fn example(item: &Item, answer: &Answer<'_>, gold: &Gold) -> String {
    let found: Vec<String> = item
        .answers
        .iter()
        .map(|answer| match answer {
            Ok(answer) => format!("{answer:?}"),
            Err(why) => why.to_string(),
        })
        .collect();
    // People count rows from 1, as all messages about data do.
    let row = answer.sample + 1;
    let gold = gold.answers.join(" or ");
    format!(
        "row {row} ends {:?}: {}, gold {gold:?}",
        end_of(answer.text, END_CHARS),
        found.join(" and ")
    )
}

/// Returns the end of a text.
pub(crate) fn end_of(text: &str, n_chars: usize) -> String {
    let text = text.trim_end();
    let start = text.char_indices().rev().nth(n_chars.saturating_sub(1)).map_or(0, |(at, _)| at);
    let dots = if start > 0 { "…" } else { "" };
    format!("{dots}{}", &text[start..])
}
