//! How long engines took to start.

use std::collections::BTreeMap;

use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::distribution::LEVEL;
use crate::metrics::figures::Figures;
use crate::record::event::{LoadTimeline, PageCache};
use crate::stats::mean::Moments;
use crate::units::Nanos;

/// Sets the load time and its stages, over all starts.
pub(crate) fn figures(figures: &mut Figures, starts: &[LoadTimeline]) {
    let pages = pages(starts);
    let mut set = |key: MetricKey, values: &mut dyn Iterator<Item = Nanos>, what: &str| {
        let moments: Moments = values.map(Nanos::as_secs_f64).collect();
        let Some(mean) = moments.mean() else { return };
        let note = match moments.n() {
            1 => format!("{what}one start, {pages}: no interval"),
            n => format!("{what}mean of {n} starts, {pages}; Student's t, 95 %"),
        };
        figures.set_with_interval(key, mean, moments.n(), moments.t_interval(LEVEL), note);
    };
    set(MetricId::LoadTime.into(), &mut starts.iter().filter_map(|start| start.first_token), "");
    set(
        MetricId::LoadPortBound.into(),
        &mut starts.iter().filter_map(|start| start.port_bound),
        "",
    );
    set(MetricId::LoadHealthy.into(), &mut starts.iter().filter_map(|start| start.healthy), "");
    // Where the engine says how long a stage took it says so at every start.
    let mut stages: BTreeMap<(&str, bool), Vec<Nanos>> = BTreeMap::new();
    for stage in starts.iter().flat_map(|start| &start.log_stages) {
        let key = (stage.name.as_str(), stage.took.is_some());
        stages.entry(key).or_default().push(stage.took.unwrap_or(stage.at));
    }
    for ((name, is_told), times) in stages {
        let what =
            if is_told { "took so long by its own word; " } else { "from spawn to its line; " };
        set(MetricId::LoadStage.of(name), &mut times.into_iter(), what);
    }
}

fn pages(starts: &[LoadTimeline]) -> &'static str {
    let n = |of: PageCache| starts.iter().filter(|start| start.page_cache == of).count();
    match (n(PageCache::Cold), n(PageCache::Prefetched)) {
        (0, 0) => "page cache as found",
        (n, _) if n == starts.len() => "page cache cold",
        (_, n) if n == starts.len() => "page cache prefetched",
        (_, 0) => "page cache cold in some",
        (0, _) => "page cache prefetched in some",
        (_, _) => "page cache cold in some and prefetched in some",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::event::LogStage;

    fn start(secs: u64) -> LoadTimeline {
        LoadTimeline {
            port_bound: Some(Nanos::from_secs(1)),
            healthy: None,
            first_token: Some(Nanos::from_secs(secs)),
            log_stages: vec![LogStage {
                name: "weights".to_owned(),
                at: Nanos::from_secs(3),
                took: Some(Nanos::from_secs(2)),
            }],
            page_cache: PageCache::AsFound,
        }
    }

    #[test]
    fn load_time_is_the_mean_of_starts_with_its_stages() {
        let mut found = Figures::default();
        figures(&mut found, &[start(4), start(6)]);
        let load = &found.by_key[&MetricId::LoadTime.into()];
        assert_eq!((load.value, load.n), (Some(5.0), 2));
        assert_eq!(load.note, "mean of 2 starts, page cache as found; Student's t, 95 %");
        assert_eq!(found.by_key[&MetricId::LoadStage.of("weights")].value, Some(2.0));
        assert_eq!(found.value(MetricId::LoadHealthy), None);
    }

    #[test]
    fn a_load_time_says_what_the_page_cache_was() {
        use PageCache::{AsFound, Cold, Prefetched};
        let check = |states: &[PageCache], expected: &str| {
            let start =
                |page_cache: &PageCache| LoadTimeline { page_cache: *page_cache, ..start(4) };
            assert_eq!(pages(&states.iter().map(start).collect::<Vec<_>>()), expected);
        };
        check(&[AsFound, AsFound], "page cache as found");
        check(&[Cold, Cold], "page cache cold");
        check(&[AsFound, Cold], "page cache cold in some");
        check(&[Prefetched], "page cache prefetched");
        check(&[AsFound, Prefetched], "page cache prefetched in some");
        check(&[Cold, Prefetched], "page cache cold in some and prefetched in some");
    }

    #[test]
    fn one_start_has_no_interval() {
        let mut found = Figures::default();
        figures(&mut found, &[start(4)]);
        let load = &found.by_key[&MetricId::LoadTime.into()];
        assert_eq!((load.value, load.interval), (Some(4.0), None));
    }
}
