//! A message, its place and the way out; many at once.

pub(crate) mod render;
pub(crate) mod suggest;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How many diagnostics are shown before the rest is only counted.
pub(crate) const MAX_SHOWN: usize = 100;

/// A text that places point into.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceText {
    /// What is printed in front of line and column: a path, `--set`, the name of a variable.
    pub name: String,
    /// The text as it was read, without a byte-order mark.
    pub text: String,
}

impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceText({}, {} bytes)", self.name, self.text.len())
    }
}

/// A place and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where the place is.
    pub source: Arc<SourceText>,
    /// Bytes of the place.
    pub span: Range<usize>,
    /// Printed at the caret; may be empty.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is started.
    Error,
    /// Work goes on; the doubt is told.
    Warning,
}

/// One mistake of a user: where, what was found, what was expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name, `scenario/unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line, lower-case, without a final period.
    pub message: String,
    /// Places, the main one first.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// Returns an error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Returns a warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, label: Option<Label>) -> Self {
        self.labels.extend(label);
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds advice, if there is any.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help.extend(help);
        self
    }
}

/// Many diagnostics, in the order of their discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds one, unless it is there already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in others {
            self.push(diagnostic);
        }
    }

    /// Sorts by place: sources in the order of their first mention, then by position. What has
    /// no place comes last.
    pub fn sort(&mut self) {
        let mut sources: Vec<String> = Vec::new();
        for label in self.list.iter().filter_map(|diagnostic| diagnostic.labels.first()) {
            if !sources.contains(&label.source.name) {
                sources.push(label.source.name.clone());
            }
        }
        self.list.sort_by_key(|diagnostic| {
            diagnostic.labels.first().map_or((usize::MAX, 0), |label| {
                let source = sources.iter().position(|name| *name == label.source.name);
                (source.unwrap_or(usize::MAX), label.span.start)
            })
        });
    }

    /// Overwrites these bytes of a source wherever a label shows it, and takes these texts out
    /// of all messages: a message about a secret must not show it.
    pub fn hide(&mut self, source: &Arc<SourceText>, spans: &[Range<usize>], texts: &[String]) {
        let mut bytes = source.text.clone().into_bytes();
        for byte in spans.iter().cloned().flatten() {
            if bytes[byte] != b'\n' {
                bytes[byte] = b'*';
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let masked = Arc::new(SourceText { name: source.name.clone(), text });
        for diagnostic in &mut self.list {
            for label in &mut diagnostic.labels {
                if label.source == *source {
                    label.source = Arc::clone(&masked);
                }
            }
            let labels = diagnostic.labels.iter_mut().map(|label| &mut label.text);
            let words = labels.chain([&mut diagnostic.message]).chain(&mut diagnostic.help);
            for word in words {
                *word = texts.iter().fold(word.clone(), |word, text| word.replace(text, "***"));
            }
        }
    }

    /// Tells each as `told` makes it.
    pub(crate) fn retell(&mut self, told: impl Fn(&mut Diagnostic)) {
        self.list.iter_mut().for_each(told);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Iterates in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Returns the value when no error was found, with the warnings; else everything.
    pub fn unless_errors<T>(self, value: T) -> Result<(T, Self), Self> {
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }

    /// Returns the collection as a person reads it; the first [`MAX_SHOWN`], then a count.
    pub fn render(&self, colour: bool) -> String {
        render::render(self, colour)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic] }
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
