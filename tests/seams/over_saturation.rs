//! Open loops whose rate is above what the engine can do.

use serde_json::Value;

use crate::place::{Place, json};

/// A simulated engine that answers two at a time, each in 5 ms: 400 per second.
const ENGINE: &str = "[engine.sim]\nttft = \"5ms\"\nitl = \"1ms\"\nmax-sequences = 2\n\
     [dataset.d]\nsource = \"random\"\ninput-words = 4\n[request]\nmax-tokens = 1\n";

/// Returns the cells of a run at three rates, of which the engine keeps up with the first.
fn measured(place: &Place, over_saturation: &str) -> Vec<Value> {
    let run = place.run(&format!(
        "{ENGINE}[phase.load]\nrequests = 1200\n{over_saturation}\n[matrix]\n\
         rate = [150.0, 1200.0, 2400.0]\n"
    ));
    place.expect(0, &["verify", "run"]);
    json(&run.join("summary.json"))["cells"].as_array().unwrap().clone()
}

/// Requires that a cell was ended early, with what is known by then.
fn check_ended(cell: &Value) {
    let counts = &cell["counts"];
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let n_out = count(&counts["cancelled"]["over-saturated"]);
    assert!(count(&counts["scheduled"]) < 1_200 && n_out > 20, "{counts}");
    assert_eq!(count(&counts["ok"]) + n_out, count(&counts["scheduled"]));
    assert!(cell["caveats"].to_string().contains("over-saturated"), "{}", cell["caveats"]);
    let steady = cell["steady"].to_string();
    for words in ["not-steady", "the queue only grew, from", "requests per s were due"] {
        assert!(steady.contains(words), "{steady}");
    }
    assert!(["ok", "doubtful", "invalid"].contains(&cell["validity"]["status"].as_str().unwrap()));
    let reached = cell["figures"]["request_throughput"]["value"].as_f64().unwrap();
    assert!((100.0..500.0).contains(&reached), "{reached}");
    // Most requests were never answered, so that the median is at least what these had waited.
    let median = &cell["distributions"]["ttft"]["percentiles"][0];
    assert!(median["interval"].is_null() && median["with_failures"].is_null(), "{median}");
}

#[test]
fn a_queue_that_only_grows_ends_its_cell_and_higher_rates_are_skipped_if_asked() {
    let place = Place::alone();
    let cells = measured(&place, "over-saturation = \"stop-and-skip\"");
    assert_eq!(cells[0]["counts"]["ok"], 1_200, "{}", cells[0]["counts"]);
    assert!(!cells[0].to_string().contains("over-saturated"), "{}", cells[0]);
    check_ended(&cells[1]);
    let why = cells[2]["validity"].to_string();
    assert!(why.contains("skipped") && why.contains("the queue only grew in"), "{why}");
    let report = place.expect(0, &["report", "run"]);
    let median = &cells[1]["distributions"]["ttft"]["percentiles"][0]["value"];
    let least = format!("with them TTFT p50 at least {:.1} ms", median.as_f64().unwrap());
    let range = "saturates between 150 and 1200 req/s";
    for words in ["over-saturated", &least, "≥ ", range] {
        assert!(report.contains(words), "{report}");
    }
}

#[test]
fn higher_rates_are_tried_as_well_where_nothing_else_is_said() {
    let place = Place::alone();
    let cells = measured(&place, "over-saturation = \"stop\"");
    cells[1..].iter().for_each(check_ended);
}

#[test]
fn a_loop_that_answers_drive_has_no_queue_to_look_at() {
    let place = Place::new();
    let text = |load: &str| format!("{ENGINE}[phase.load]\n{load}\nover-saturation = \"stop\"\n");
    place.write("closed.toml", &text("concurrency = 4\nrequests = 9"));
    let told = place.expect(78, &["check", "closed.toml"]);
    assert!(told.contains("has no `rate`"), "{told}");
    place.write("open.toml", &text("rate = 4.0\nrequests = 9"));
    let plan = place.expect(0, &["plan", "open.toml"]);
    assert!(plan.contains("or until over-saturated"), "{plan}");
}
