//! Where the wall time of a run went, in a sentence.

use std::cmp::Reverse;
use std::fmt::Write as _;

use crate::metrics::wall_time::WallTime;
use crate::report::number::percent;

/// Share below which a part is not named.
const NAMED_MIN: f64 = 0.0005;

/// Says how long a run took and what share of it was spent on what, measuring first; nothing for a
/// run without time.
pub(crate) fn sentence(of: &WallTime) -> Option<String> {
    let measuring = of.measuring_share?;
    let mut others = [
        (of.starting, "starting"),
        (of.waiting_for_ready, "waiting for ready"),
        (of.warming_up, "warming up"),
        (of.draining, "draining"),
        (of.stopping, "stopping"),
        (of.unfinished, "in trials whose numbers do not count"),
        (of.between, "between"),
    ];
    others.sort_by_key(|(spent, _)| Reverse(*spent));
    let total_s = of.total.as_secs_f64();
    let mut text = format!("{}, {} of it measuring", of.total, percent(measuring));
    for (spent, activity) in others {
        let share = spent.as_secs_f64() / total_s;
        if share >= NAMED_MIN {
            let _ = write!(text, ", {} {activity}", percent(share));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    #[test]
    fn measuring_stands_first_and_the_others_by_their_size() {
        let of = WallTime {
            total: Nanos::from_secs(20),
            starting: Nanos::from_secs(1),
            waiting_for_ready: Nanos::from_secs(5),
            measuring: Nanos::from_secs(12),
            stopping: Nanos::from_secs(2),
            measuring_share: Some(0.6),
            ..WallTime::default()
        };
        let said = "20.0 s, 60.0 % of it measuring, 25.0 % waiting for ready, 10.0 % stopping, 5.0 % starting";
        assert_eq!(sentence(&of).as_deref(), Some(said));
        assert_eq!(sentence(&WallTime::default()), None);
    }
}
