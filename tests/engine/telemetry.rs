//! What probes see of an engine that runs.

use std::time::{Duration, Instant};

use bench::plan::launch::MetricsEndpoint;
use bench::record::gauge::Gauge;
use bench::record::telemetry::TelemetrySource;
use bench::telemetry::host::HostProbe;
use bench::telemetry::process::EngineProcessProbe;
use bench::telemetry::prometheus::PrometheusProbe;
use bench::telemetry::sampler::Sampler;

use crate::bed::{Bed, launch};

fn endpoint() -> MetricsEndpoint {
    let names =
        [(Gauge::RequestsRunning, "fake:running"), (Gauge::RequestsWaiting, "fake:waiting")];
    MetricsEndpoint {
        path: "/metrics".to_owned(),
        names: names.map(|(ours, theirs)| (ours, vec![theirs.to_owned()])).into(),
    }
}

#[test]
fn host_engine_processes_and_engine_metrics_are_sampled_side_by_side() {
    let bed = Bed::new();
    let mut launch = launch(&["--running", "3", "--fork-workers", "2"]);
    launch.metrics = Some(endpoint());
    let engine = bed.start(&launch);
    let source = engine.metrics_source().unwrap();
    let names = endpoint().names;
    let (sampler, queue) = Sampler::start(
        vec![
            Box::new(HostProbe::new()),
            Box::new(EngineProcessProbe::new(Box::new(engine.pids().unwrap()))),
            Box::new(PrometheusProbe::new(Box::new(source), names)),
        ],
        Duration::from_hours(1),
        Instant::now(),
    )
    .unwrap();
    let seen: Vec<_> = queue.take(3).collect();
    let of = |source: TelemetrySource| {
        seen.iter().find(|sample| sample.source == source).unwrap_or_else(|| panic!("{seen:?}"))
    };
    assert!(of(TelemetrySource::Host).values[&Gauge::MemoryUsedBytes] > 0.0);
    let tree = of(TelemetrySource::EngineProcess);
    assert!((tree.values[&Gauge::NProcesses] - 3.0).abs() < 0.5, "{tree:?}");
    assert!(tree.values[&Gauge::MemoryBytes] > 1e6);
    let metrics = of(TelemetrySource::EngineMetrics);
    assert!((metrics.values[&Gauge::RequestsRunning] - 3.0).abs() < 0.5, "{metrics:?}");
    assert!(sampler.finish().probes.iter().all(|probe| !probe.is_gone));
    engine.stop();
}

#[test]
fn an_engine_is_drained_when_its_metrics_say_that_nothing_runs_or_waits() {
    for (running, expected) in [("0", Some(true)), ("1", Some(false))] {
        let bed = Bed::new();
        let mut launch = launch(&["--running", running]);
        launch.metrics = Some(endpoint());
        let engine = bed.start(&launch);
        assert_eq!(engine.drained(Duration::from_millis(200), &|| false), expected);
        launch.metrics = None;
        engine.stop();
    }
    let bed = Bed::new();
    let engine = bed.start(&launch(&[]));
    assert_eq!(engine.drained(Duration::ZERO, &|| false), None, "it has no metrics");
}
