//! Kinds of rows that are not sent as they stand: one list for readers, pickers and templates.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::plan::cell::{BadRows, DatasetPlan};
use crate::workload::error::DataError;

/// Why a row is left out, or what was changed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKind {
    // Bad rows: they count against the limit.
    NotReadable,
    NoColumn,
    WrongType,
    Empty,
    Template,
    ChatTemplate,
    IdTwice,
    TimeGoesBack,
    UnknownRole,
    DamagedTurn,
    OtherPart,
    NoUser,
    NoTime,
    DayOrMonth,
    TooFar,
    OtherTime,
    NoChoice,
    TwoGolds,
    /// Not the row, but the scenario, which lacks something for all such rows.
    Scenario,
    // Left out by a rule of the source or of the scenario.
    NoConversation,
    FewTurns,
    SameRoleInARow,
    ShortText,
    LongPrompt,
    LongInAll,
    SourceFailed,
    OutsideSlice,
    GoldNotRead,
    // Sent, but not as they stand.
    LedByAssistant,
    Answered,
    Joined,
}

/// Whether a row of a kind is bad, left out by a rule, or sent with a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Bad,
    Rule,
    Changed,
}

impl RowKind {
    /// Returns its name in plan, terminal and report.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NotReadable => "not readable",
            Self::NoColumn => "a column that is missing or null",
            Self::WrongType => "a column of another type",
            Self::Empty => "an empty prompt",
            Self::Template => "the template of the prompt fails",
            Self::ChatTemplate => "messages that the chat template refuses",
            Self::IdTwice => "an id that occurs twice",
            Self::TimeGoesBack => "a time before that of an earlier row",
            Self::UnknownRole => "a message by an unknown role",
            Self::DamagedTurn => "a message without role or text",
            Self::OtherPart => "a message with a part that is no text",
            Self::NoUser => "no message of a user",
            Self::NoTime => "no time that can be read",
            Self::DayOrMonth => "a date of which no row shows whether the day comes first",
            Self::TooFar => "a time too far from the first",
            Self::OtherTime => "a time of another kind than the first row's",
            Self::NoChoice => "a gold that is no choice of its row",
            Self::TwoGolds => "two golds that contradict each other",
            Self::Scenario => "the scenario lacks something",
            Self::NoConversation => "no conversation",
            Self::FewTurns => "fewer than two turns",
            Self::SameRoleInARow => "two messages of one role in a row",
            Self::ShortText => "a prompt or answer of fewer than 4 tokens",
            Self::LongPrompt => "a prompt of more than 1024 tokens",
            Self::LongInAll => "more than 2048 tokens of prompt and answer",
            Self::SourceFailed => "a request that failed at the source, without answer tokens",
            Self::OutsideSlice => "outside the slice of time",
            Self::GoldNotRead => "a gold that the score cannot read",
            Self::LedByAssistant => "a leading message of an assistant is not sent",
            Self::Answered => "a closing message of an assistant is not sent",
            Self::Joined => "messages of one role in a row are sent as one",
        }
    }

    /// Returns what to do about such a row.
    pub(super) fn help(self, bad_rows: BadRows) -> String {
        let help = match self {
            Self::Scenario => "set `tokenizer` on the data set",
            Self::TimeGoesBack => {
                "sort the rows by their time; where times have no date or no year, write it in \
                 front of them, as such a clock begins again"
            }
            Self::DayOrMonth => "write the dates with the year first, as in 2024-04-03 23:59:59",
            Self::OtherTime => {
                let help = "write the times alike: dates, lengths with their unit, or numbers";
                return format!("{help}; {}", way_around(bad_rows));
            }
            Self::OtherPart | Self::NoChoice | Self::TwoGolds => way_around(bad_rows),
            _ => {
                let help = "`columns` in the scenario says which column plays which part";
                return format!("{help}; {}", way_around(bad_rows));
            }
        };
        help.to_owned()
    }

    /// Whether the source or the scenario leaves such rows out by a rule.
    pub(super) fn is_rule(self) -> bool {
        self.fate() == Fate::Rule
    }

    fn fate(self) -> Fate {
        match self {
            Self::NotReadable
            | Self::NoColumn
            | Self::WrongType
            | Self::Empty
            | Self::Template
            | Self::ChatTemplate
            | Self::IdTwice
            | Self::TimeGoesBack
            | Self::UnknownRole
            | Self::DamagedTurn
            | Self::OtherPart
            | Self::NoUser
            | Self::NoTime
            | Self::DayOrMonth
            | Self::TooFar
            | Self::OtherTime
            | Self::NoChoice
            | Self::TwoGolds
            | Self::Scenario => Fate::Bad,
            Self::NoConversation
            | Self::FewTurns
            | Self::SameRoleInARow
            | Self::ShortText
            | Self::LongPrompt
            | Self::LongInAll
            | Self::SourceFailed
            | Self::OutsideSlice
            | Self::GoldNotRead => Fate::Rule,
            Self::LedByAssistant | Self::Answered | Self::Joined => Fate::Changed,
        }
    }
}

/// Returns how to do without rows that cannot be used.
pub(super) fn way_around(bad_rows: BadRows) -> &'static str {
    match bad_rows {
        BadRows::Stop => "`bad-rows = \"skip\"` leaves such rows out",
        BadRows::Skip => "`max-bad-rows` is the share of rows that may be left out",
    }
}

/// Rows in a row that may all be bad before the file is given up.
const HOPELESS: u64 = 1_000;

/// Rows by kind, held against the scenario's limit.
pub(super) struct Tally {
    bad_rows: BadRows,
    max_share: f64,
    by_kind: BTreeMap<RowKind, u64>,
    first_bad: Option<DataError>,
}

impl Tally {
    pub(super) fn new(plan: &DatasetPlan) -> Self {
        Self {
            bad_rows: plan.bad_rows,
            max_share: plan.max_bad_rows,
            by_kind: BTreeMap::new(),
            first_bad: None,
        }
    }

    /// Counts a row by a kind that is not bad.
    pub(super) fn count(&mut self, kind: RowKind) {
        *self.by_kind.entry(kind).or_default() += 1;
    }

    /// Counts a bad row, or returns why the reading ends.
    pub(super) fn bad(
        &mut self,
        kind: RowKind,
        error: DataError,
        n_read: u64,
    ) -> Result<(), DataError> {
        if self.bad_rows == BadRows::Stop || kind == RowKind::Scenario {
            return Err(error);
        }
        self.count(kind);
        self.first_bad.get_or_insert(error);
        if self.n_bad() == n_read && n_read >= HOPELESS { self.judge(n_read) } else { Ok(()) }
    }

    /// Returns the kinds of rows that are left out, with their number.
    pub(super) fn left_out(&self) -> Vec<(String, u64)> {
        self.told(|fate| fate != Fate::Changed)
    }

    /// Returns what was changed in rows that are sent, with their number.
    pub(super) fn changed(&self) -> Vec<(String, u64)> {
        self.told(|fate| fate == Fate::Changed)
    }

    fn told(&self, is_wanted: impl Fn(Fate) -> bool) -> Vec<(String, u64)> {
        let wanted = self.by_kind.iter().filter(|(kind, _)| is_wanted(kind.fate()));
        wanted.map(|(kind, n)| (kind.words().to_owned(), *n)).collect()
    }

    fn n_bad(&self) -> u64 {
        let bad = self.by_kind.iter().filter(|(kind, _)| kind.fate() == Fate::Bad);
        bad.map(|(_, n)| n).sum()
    }

    /// Holds the bad rows against the limit; one alone is never too many.
    pub(super) fn judge(&self, n_read: u64) -> Result<(), DataError> {
        let n_bad = self.n_bad();
        match &self.first_bad {
            Some(first) if n_bad > 1 && n_bad as f64 > self.max_share * n_read as f64 => {
                let share = percent(n_bad as f64 / n_read as f64);
                let limit = percent(self.max_share);
                let said = format!(
                    "; {n_bad} of {n_read} rows cannot be used ({share} %, `max-bad-rows` allows \
                     {limit} %): {}",
                    told_kinds(&self.told(|fate| fate == Fate::Bad))
                );
                Err(DataError { message: format!("{}{said}", first.message), ..first.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Returns the first bad row as an error, where no row is left.
    pub(super) fn first_bad(&self) -> Option<&DataError> {
        self.first_bad.as_ref()
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Says how many rows there are of each kind: `2 not readable, 1 an empty prompt`.
pub(super) fn told_kinds(kinds: &[(String, u64)]) -> String {
    let mut text = String::new();
    for (kind, n) in kinds {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{n} {kind}").expect("a string takes all text");
    }
    text
}
