//! Mistakes put right for the moment: what does not depend on one is checked as well.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Label, SourceText};
use crate::scenario::toml_tree::{Data, Document, Node};

/// A mistake that was told, and its stand-in for the rest of the checks.
#[derive(Clone, Debug)]
pub(crate) struct Mend {
    source: Arc<SourceText>,
    /// Bytes of the wrong key or value.
    span: Range<usize>,
    /// The table that the key is in, or the key of the value.
    path: Vec<String>,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// The key that was meant.
    Rename(String),
    /// No key of this place.
    Remove,
    /// A value that is allowed there.
    Replace(Data),
}

impl Mend {
    /// A key that is not known: the one that was meant takes its place, if one is near.
    pub(crate) fn key(
        document: &Document,
        path: &[&str],
        span: Range<usize>,
        meant: Option<&str>,
    ) -> Self {
        let how = meant.map_or(How::Remove, |meant| How::Rename(meant.to_string()));
        Self { source: Arc::clone(&document.source), span, path: owned(path), how }
    }

    /// A value that is not allowed.
    pub(crate) fn value(
        document: &Document,
        path: &[&str],
        span: Range<usize>,
        stand_in: Data,
    ) -> Self {
        let (source, path) = (Arc::clone(&document.source), owned(path));
        Self { source, span, path, how: How::Replace(stand_in) }
    }

    /// Whether the stand-in is a guess about the value: nothing can be concluded from it.
    fn is_guess(&self) -> bool {
        matches!(self.how, How::Replace(_))
    }

    /// Whether a place is the mistake's own: the wrong value, or its key.
    fn is_at(&self, label: &Label) -> bool {
        let behind_key = self.source.text.get(label.span.end..self.span.start);
        let is_its_key = behind_key.is_some_and(|text| text.trim() == "=");
        self.is_guess()
            && (label.span == self.span || is_its_key)
            && Arc::ptr_eq(&label.source, &self.source)
    }
}

/// All mistakes put right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mends(Vec<Mend>);

impl Mends {
    /// Adds one.
    pub(crate) fn push(&mut self, mend: Mend) {
        self.0.push(mend);
    }

    /// Whether a mistake lies in the table of that path.
    pub(crate) fn are_in(&self, path: &[&str]) -> bool {
        self.0.iter().any(|mend| {
            mend.path.iter().map(String::as_str).take(path.len()).eq(path.iter().copied())
        })
    }

    /// Whether nothing was put right.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the mistakes of a document right.
    pub(crate) fn apply(&self, document: &mut Document) {
        let mine: Vec<&Mend> =
            self.0.iter().filter(|mend| Arc::ptr_eq(&mend.source, &document.source)).collect();
        if !mine.is_empty() {
            apply(&mine, &mut document.root);
        }
    }

    /// Whether a value in that table is a guess.
    pub(crate) fn touch(&self, document: &Document, node: &Node) -> bool {
        let is_mine = |mend: &&Mend| Arc::ptr_eq(&mend.source, &document.source);
        self.0.iter().filter(is_mine).any(|mend| mend.is_guess() && holds(node, &mend.span))
    }

    /// Whether a finding speaks of a value that stands in for a mistake: that is told already.
    pub(crate) fn explain(&self, finding: &Diagnostic) -> bool {
        finding.labels.iter().any(|label| self.0.iter().any(|mend| mend.is_at(label)))
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

fn holds(node: &Node, span: &Range<usize>) -> bool {
    node.span == *span
        || match &node.value {
            Data::List(items) => items.iter().any(|item| holds(item, span)),
            Data::Table(entries) => entries.iter().any(|entry| holds(&entry.node, span)),
            _ => false,
        }
}

fn apply(mends: &[&Mend], node: &mut Node) {
    if let Some(How::Replace(stand_in)) =
        mends.iter().find(|mend| mend.is_guess() && mend.span == node.span).map(|mend| &mend.how)
    {
        node.value = stand_in.clone();
        return;
    }
    match &mut node.value {
        Data::List(items) => items.iter_mut().for_each(|item| apply(mends, item)),
        Data::Table(entries) => {
            let known: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
            entries.retain_mut(|entry| {
                let at_key = mends.iter().find(|mend| !mend.is_guess() && mend.span == entry.span);
                match at_key.map(|mend| &mend.how) {
                    Some(How::Rename(meant)) if entry.key == *meant => {}
                    Some(How::Rename(meant)) if !known.contains(meant) => {
                        entry.key.clone_from(meant);
                    }
                    Some(_) => return false,
                    None => {}
                }
                apply(mends, &mut entry.node);
                true
            });
        }
        _ => {}
    }
}
