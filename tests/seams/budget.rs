//! What is not tried: what has failed before, and what a budget has no room for.

use serde_json::Value;

use crate::place::{Place, json, told};

const DATA: &str = "[dataset.d]\nsource = \"random\"\ninput-words = 4\n[request]\nmax-tokens = 1\n";

/// Returns the state of each cell of a run and why.
fn states(place: &Place) -> Vec<(String, String)> {
    let summary = json(&place.path("run/summary.json"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cells = summary["cells"].as_array().unwrap().iter();
    cells
        .map(|cell| {
            let validity = &cell["validity"];
            (text(&validity["status"]), validity["reasons"].to_string())
        })
        .collect()
}

#[test]
fn a_higher_load_is_not_tried_after_an_engine_has_failed_if_asked() {
    let place = Place::new();
    // The probe and six requests are served, and of a second cell's not all.
    let scenario = format!(
        "[engine.sim]\nttft = \"2ms\"\nitl = \"1ms\"\nextra-args = [\"--die-at-request\", \"10\"]\n\
         {DATA}[matrix]\nconcurrency = [1, 2, 4]\n[phase.load]\nrequests = 6\n"
    );
    place.write("all.toml", &scenario);
    place.write("some.toml", &format!("skip-after = \"failure\"\n{scenario}"));
    let run = |file: &str| {
        let output = place.bench(&["run", file, "--quiet", "--out", "run"], &[]);
        assert_eq!(output.status.code(), Some(100), "{}", told(&output));
        let states = states(&place);
        std::fs::remove_dir_all(place.path("run")).unwrap();
        states
    };
    let without = run("all.toml");
    assert_eq!((without[1].0.as_str(), without[2].0 == "skipped"), ("failed", false));
    let with = run("some.toml");
    assert_eq!((with[1].0.as_str(), with[2].0.as_str()), ("failed", "skipped"));
    assert!(with[2].1.contains("skip-after") && with[2].1.contains("concurrency=2"), "{with:?}");
    assert_ne!(with[0].0, "skipped");
}

#[test]
fn what_failed_in_an_earlier_session_keeps_higher_loads_from_being_tried_too() {
    let place = Place::new();
    let scenario = format!(
        "skip-after = \"failure\"\n[engine.sim]\nttft = \"2ms\"\nitl = \"1ms\"\n\
         extra-args = [\"--die-at-request\", \"10\"]\n\
         {DATA}[matrix]\nconcurrency = [1, 2]\n[phase.load]\nrequests = 6\n"
    );
    place.write("s.toml", &scenario);
    place.expect(100, &["run", "s.toml", "--quiet", "--out", "run"]);
    place.write("s.toml", &scenario.replace("[1, 2]", "[1, 2, 4]"));
    place.expect(100, &["run", "s.toml", "--quiet", "--resume", "run"]);
    let states = states(&place);
    assert_eq!((states[1].0.as_str(), states[2].0.as_str()), ("failed", "skipped"), "{states:?}");
    assert!(states[2].1.contains("skip-after") && states[2].1.contains("concurrency=2"));
    place.expect(0, &["verify", "run"]);
}

#[test]
fn a_budget_measures_the_ends_first_and_says_what_it_leaves_out_and_a_resume_goes_on() {
    let place = Place::new();
    let _ = place.run(&format!(
        "budget = \"1500ms\"\n[engine.sim]\nttft = \"2ms\"\nitl = \"1ms\"\n{DATA}[matrix]\n\
         concurrency = [1, 2, 3, 4, 5, 6, 7, 8, 9]\n[phase.load]\nduration = \"400ms\"\n"
    ));
    let is_left_out = |(status, why): &(String, String)| {
        assert!(status != "skipped" || why.contains("left out by budget"), "{why}");
        status == "skipped"
    };
    let states_before = states(&place);
    let left_out: Vec<bool> = states_before.iter().map(is_left_out).collect();
    // The ends and the middle come first; then whichever side differs more.
    let order = [0, 8, 4];
    let n_measured = left_out.iter().filter(|left_out| !**left_out).count();
    assert!((1..=3).contains(&n_measured), "{states_before:?}");
    let expected: Vec<bool> = (0..9).map(|at| !order[..n_measured].contains(&at)).collect();
    assert_eq!(left_out, expected);
    let report = place.expect(0, &["report", "run"]);
    assert!(report.contains("left out by budget (1.50 s)"), "{report}");
    place.expect(0, &["resume", "run", "--quiet", "--fail-on", "failed"]);
    let n_later = states(&place).iter().filter(|state| !is_left_out(state)).count();
    assert!(n_later > n_measured, "{n_later} after {n_measured}");
    place.expect(0, &["verify", "run"]);
}

#[test]
fn a_plan_says_how_long_its_load_takes_at_least() {
    let place = Place::new();
    place.write(
        "s.toml",
        &format!(
            "trials = 3\nbudget = \"2h\"\n[engine.sim]\n{DATA}[matrix]\nrate = [1.0, 2.0]\n\
             [phase.warm_up]\nconcurrency = 2\nduration = \"10s\"\n[phase.load]\nduration = \"60s\"\n"
        ),
    );
    let plan = place.expect(0, &["plan", "s.toml"]);
    assert!(plan.contains("time: at least 7 min 00 s of load; budget 2 h 00 min"), "{plan}");
    assert!(plan.contains("order     rate=1.0, then rate=2.0"), "{plan}");
    let priced =
        ["plan", "s.toml", "--set", "cost.gpu-hour-price=2.5", "--set", "phase.load.duration=1h"];
    let plan = place.expect(0, &priced);
    // Two cells of three trials, each of an hour and ten seconds.
    assert!(plan.contains("of load; 15.04 for 6.02 GPU-hours of that; budget"), "{plan}");
}
