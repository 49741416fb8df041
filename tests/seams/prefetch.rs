//! Model files that are read while another engine is measured.

use serde_json::Value;

use crate::place::{Place, json, lines};

/// Engines in a row, each with model files of its own, but the last, which wants a cold start.
const SCENARIO: &str = r#"
@PREFETCH@
[engine.one]
preset = "sim"
model-path = "./one"
ttft = "20ms"
itl = "2ms"
[engine.two]
preset = "sim"
model-path = "./two"
ttft = "20ms"
itl = "2ms"
[engine.three]
preset = "sim"
model-path = "./three"
cold-start = true
ttft = "20ms"
itl = "2ms"
[matrix]
engine = ["one", "two", "three"]
[dataset.d]
source = "random"
input-words = 4
[request]
max-tokens = 4
[phase.load]
concurrency = 1
requests = 60
"#;

/// Runs the engines; returns the state of the page cache before each start, and the run's caveats.
fn run(place: &Place, prefetch: &str) -> (Vec<String>, Vec<String>) {
    for (name, n_mib) in [("one", 1), ("two", 4), ("three", 1)] {
        place.write(&format!("{name}/model.bin"), &"x".repeat(n_mib << 20));
    }
    let run = place.run(&SCENARIO.replace("@PREFETCH@", prefetch));
    place.expect(0, &["verify", "run"]);
    let events = lines(&run.join("events.jsonl"));
    let of = |kind: &str| events.iter().map(|it| it["event"][kind].clone()).collect::<Vec<Value>>();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let states = of("engine-ready");
    let states = states.iter().filter_map(|it| text(&it["timeline"]["page_cache"])).collect();
    let caveats = of("caveat").iter().filter_map(|it| text(&it["what"])).collect();
    (states, caveats)
}

#[test]
fn the_next_engines_files_are_read_while_one_is_measured_and_the_report_says_so() {
    let place = Place::new();
    let (states, caveats) = run(&place, "prefetch = true");
    assert_eq!(states, ["as-found", "prefetched", "cold"], "{caveats:?}");
    let told = "4.00 MiB of 4.00 MiB of the model files of two were read into the page cache while \
                one was measured";
    assert_eq!(caveats.iter().filter(|it| it.contains("page cache")).collect::<Vec<_>>(), [told]);
    let summary = json(&place.path("run/summary.json")).to_string();
    assert!(summary.contains(told) && summary.contains("page cache prefetched"), "{summary}");
}

#[test]
fn nobody_reads_unless_it_is_asked_for() {
    let (states, caveats) = run(&Place::new(), "");
    assert_eq!(states, ["as-found", "as-found", "cold"]);
    assert!(caveats.iter().all(|it| !it.contains("page cache")), "{caveats:?}");
}
