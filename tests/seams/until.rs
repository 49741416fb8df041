//! Phases that end once a number is known.

use serde_json::Value;

use crate::place::{Place, json};

/// A simulated engine whose first tokens take as long as chance has it.
const ENGINE: &str = "[engine.sim]\nttft = \"lognormal:4ms,0.3\"\nitl = \"1ms\"\n\
     [dataset.d]\nsource = \"random\"\ninput-words = 4\n[request]\nmax-tokens = 1\n";

fn interval(percentile: &Value) -> (f64, f64, f64) {
    let end = |at: usize| percentile["interval"][at].as_f64().unwrap();
    (percentile["value"].as_f64().unwrap(), end(0), end(1))
}

#[test]
fn ten_cells_stop_below_their_cap_when_the_median_is_known() {
    let place = Place::alone();
    let run = place.run(&format!(
        "{ENGINE}[phase.load]\nconcurrency = 8\nrequests = 3000\n\
         until = {{ metric = \"ttft.p50\", half-width = \"5%\" }}\n\
         [matrix]\n\"request.seed\" = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
    ));
    place.expect(0, &["verify", "run"]);
    let summary = json(&run.join("summary.json"));
    let cells = summary["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 10);
    let mut scheduled: Vec<u64> =
        cells.iter().map(|cell| cell["counts"]["scheduled"].as_u64().unwrap()).collect();
    scheduled.sort_unstable();
    // The rule looks first at 50; that one cell of ten stops there is chance.
    assert!(scheduled[0] >= 50 && scheduled[9] < 2_000, "{scheduled:?}");
    assert!(scheduled[4] >= 100, "{scheduled:?}");
    for cell in cells {
        assert_eq!(
            cell["counts"]["ok"], cell["counts"]["scheduled"],
            "what was sent is waited for"
        );
        let (value, low, high) = interval(&cell["distributions"]["ttft"]["percentiles"][0]);
        // Answers that were in flight at the stop count, too: on a busy machine they may be others.
        let half_width = (high - low) / 2.0 / value;
        assert!(half_width <= 0.07, "{value} [{low}, {high}]");
        let is_told = cell["caveats"].to_string().contains("until-not-reached");
        assert_eq!(is_told, half_width > 0.05, "{value} [{low}, {high}]");
    }
}

#[test]
fn an_open_loop_sends_what_was_due_before_and_its_window_ends_with_the_knowledge() {
    let place = Place::alone();
    let run = place.run(&format!(
        "{ENGINE}[phase.load]\nrate = 400.0\narrival = \"constant\"\nduration = \"20s\"\n\
         until = {{ metric = \"ttft.mean\", half-width = \"10%\" }}\n"
    ));
    place.expect(0, &["verify", "run"]);
    let cell = &json(&run.join("summary.json"))["cells"][0];
    let n = cell["counts"]["scheduled"].as_u64().unwrap();
    assert!((50..4_000).contains(&n) && cell["counts"]["ok"] == n, "{}", cell["counts"]);
    let trial = json(&run.join("cells/engine=sim/trial-1/trial.json"));
    let phase = &trial["record"]["phases"][0];
    let at = |key: &str| phase[key].as_f64().unwrap() / 1e9;
    let due = n as f64 / 400.0;
    assert!((at("stopped") - at("started") - due).abs() < 0.1, "{phase}: {n} requests");
}

#[test]
fn a_cap_that_comes_first_is_told_and_a_number_of_no_request_is_refused() {
    let place = Place::alone();
    let run = place.run(&format!(
        "{ENGINE}[phase.load]\nconcurrency = 8\nrequests = 60\n\
         until = {{ metric = \"ttft.p50\", half-width = \"1%\" }}\n"
    ));
    let caveats = json(&run.join("summary.json"))["cells"][0]["caveats"].to_string();
    assert!(caveats.contains("until-not-reached"), "{caveats}");
    for (until, why) in [
        ("{ metric = \"output_throughput\", half-width = \"5%\" }", "each request"),
        ("{ metric = \"ttft.p50\", half-width = \"5\" }", "is not a share"),
        ("{ metric = \"ttft.p50\" }", "half-width"),
    ] {
        let text =
            format!("{ENGINE}[phase.load]\nconcurrency = 1\nrequests = 9\nuntil = {until}\n");
        place.write("bad.toml", &text);
        let told = place.expect(78, &["check", "bad.toml"]);
        assert!(told.contains(why), "{told}");
    }
}
