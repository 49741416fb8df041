//! Names the programs that keep the processors busy before anything is measured on them.

use std::time::Duration;

use crate::metrics::cpu_contention::{BUSY_MACHINE, in_words};
use crate::record::event::RunEvent;
use crate::telemetry::busy_programs::ProgramTimes;

/// Time over which programs are looked at before the first engine starts. Some of it goes by
/// while facts of the machine are gathered.
const INTERVAL: Duration = Duration::from_millis(300);

/// Returns what to say of a machine that was busy since the first look.
pub(super) fn busy_machine(first: &ProgramTimes) -> Option<RunEvent> {
    first.wait(INTERVAL);
    let busy = first.until(&ProgramTimes::now(), &[]);
    let share = busy.share.filter(|share| *share > BUSY_MACHINE)?;
    let used = in_words(share, &busy.programs, busy.over);
    Some(RunEvent::Caveat {
        what: format!("before the first engine started, other programs used {used}"),
        advice: "They slow bench, or an engine on this machine: end them and measure again.".into(),
    })
}
