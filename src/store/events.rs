//! The events of a run, each in its place: a line that is gone, or is there twice, is damage.

use std::path::Path;

use crate::record::event::EventRecord;
use crate::store::error::StoreError;
use crate::store::records::{Expect, Records, TornTail};

/// The events of a run, in order. The iteration stops after the first error.
#[derive(Debug)]
pub(crate) struct Events {
    records: Records<EventRecord>,
    /// Number of the event that belongs next.
    next: u64,
}

impl Events {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { records: Records::open(path, Expect::Unfinished)?, next: 0 })
    }

    /// Returns the torn tail that ended the iteration, if one did.
    pub(super) fn torn(&self) -> Option<&TornTail> {
        self.records.torn()
    }
}

impl Iterator for Events {
    type Item = Result<EventRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = match self.records.next()? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        let (found, belongs) = (event.seq, self.next);
        self.next += 1;
        if found == belongs {
            return Some(Ok(event));
        }
        let why = format!("event {found} stands where event {belongs} belongs");
        Some(Err(self.records.damage(why)))
    }
}
