//! What is required of the numbers: from the scenario and the command line to every face and the
//! exit code.

use std::fs;

use crate::place::{Place, json};

/// An engine whose TTFT is 40 ms, under gates that it meets.
const SCENARIO: &str = "[engine.sim]\nttft = \"40ms\"\nitl = \"1ms\"\n\
    [dataset.d]\nsource = \"jsonl\"\nlocation = \"./d.jsonl\"\ncycle = true\n\
    [request]\nmax-tokens = 8\n[phase.load]\nconcurrency = 2\nrequests = 40\n\
    [gate]\nmust = [\"ttft.p50 < 2s\", \"output_throughput > 1 tok/s\"]\n";

fn place() -> Place {
    let place = Place::alone();
    place.write("d.jsonl", "{\"prompt\":\"one apple\"}\n{\"prompt\":\"two apples\"}\n");
    place.write("s.toml", SCENARIO);
    place
}

/// Arguments of a run that fails by its gates alone.
const RUN: [&str; 5] = ["run", "s.toml", "--quiet", "--fail-on", "gate"];

#[test]
fn a_missed_gate_is_told_in_every_face_and_ends_run_and_report_alike() {
    let place = place();
    let fail_if = ["--fail-if", "ttft.p50 > 10ms", "--out", "run"];
    let told = place.expect(104, &[&RUN[..], &fail_if].concat());
    let line = "TTFT p50 is 4";
    let last: Vec<&str> = told.trim_end().lines().rev().take(6).collect();
    assert!(last.iter().any(|it| it.starts_with("✗ engine=sim: ") && it.contains(line)), "{told}");
    assert!(last.iter().any(|it| it.contains("must not be > 10ms")), "{told}");
    assert_eq!(last.iter().filter(|it| it.starts_with('✓')).count(), 2, "{told}");
    for (file, below) in [("report.md", "\n| "), ("report.html", "<h2 id=\"results\">")] {
        let text = fs::read_to_string(place.path("run").join(file)).unwrap();
        let (gate, table) = (text.find(line).unwrap(), text.find(below).unwrap());
        assert!(gate < table, "{file}: the gate stands below the table");
    }
    let gates = json(&place.path("run/summary.json"))["gates"].clone();
    let outcomes: Vec<&str> = gates
        .as_array()
        .unwrap()
        .iter()
        .map(|gate| gate["cells"][0]["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["met", "met", "missed"]);
    assert_eq!((&gates[2]["limit"], &gates[2]["unit"]), (&10.into(), &"ms".into()));
    assert!(gates[2]["cells"][0]["interval"][0].as_f64().unwrap() > 39.0, "{gates}");

    // The directory remembers what it was held to, and is whole.
    place.expect(104, &["report", "run"]);
    place.expect(0, &["verify", "run"]);
    let junit = place.expect(104, &["report", "run", "--format", "junit"]);
    // A case for the cell, and one for each gate.
    assert!(junit.contains("tests=\"4\" failures=\"1\""), "{junit}");
    assert!(junit.contains("<testcase classname=\"engine=sim\" name=\"measured\""), "{junit}");
    assert!(junit.contains("name=\"ttft.p50 &gt; 10ms\"><failure message="), "{junit}");
}

#[test]
fn a_report_takes_further_gates_and_leaves_the_run_as_it_is() {
    let place = place();
    place.expect(0, &[&RUN[..], &["--out", "run"]].concat());
    let before = fs::read_to_string(place.path("run/summary.json")).unwrap();
    let note =
        "note: what this command line asks for is told here; the files tell the run's own gates";
    let told = place.expect(0, &["report", "run"]);
    assert!(!told.contains(note), "{told}");
    let told = place.expect(104, &["report", "run", "--fail-if", "ttft.p50 > 10ms"]);
    assert!(told.contains(note), "{told}");
    assert!(told.contains("✗ engine=sim: TTFT p50 is 4"), "{told}");
    assert_eq!(fs::read_to_string(place.path("run/summary.json")).unwrap(), before);
    place.expect(0, &["verify", "run"]);

    // 40 requests are too few for a p99: nobody knows.
    let open = ["report", "run", "--fail-if", "ttft.p99 > 10ms"];
    let told = place.expect(0, &open);
    assert!(told.contains("? engine=sim: TTFT p99 must not be > 10ms; n too small"), "{told}");
    let told = place.expect(104, &[&open[..], &["--undecided", "fail"]].concat());
    assert!(told.contains("; counts as missed"), "{told}");
    let junit = ["--undecided", "fail", "--format", "junit"];
    let junit = place.expect(104, &[&open[..], &junit].concat());
    assert!(
        junit.contains("failures=\"1\"") && !junit.contains("p99 &gt; 10ms\"><skipped"),
        "{junit}"
    );
}

#[test]
fn a_run_is_held_against_an_earlier_one() {
    let place = place();
    let twice = [&RUN[..], &["--set", "phase.load.trials=2"]].concat();
    place.expect(0, &[&twice[..], &["--out", "old"]].concat());
    place.expect(0, &["baseline", "save", "main", "old"]);
    assert_eq!(place.expect(0, &["baseline", "list"]), "main\n");
    let slower = ["--set", "engine.sim.ttft=80ms", "--fail-if", "ttft.p50 > +50%"];
    for baseline in ["old", "main", "old/summary.json"] {
        let out = format!("new-{}", baseline.len());
        let more = ["--baseline", baseline, "--out", &out];
        let told = place.expect(104, &[&twice[..], &slower, &more].concat());
        assert!(told.contains("must not be > +50% = 6"), "{told}");
        place.expect(104, &["report", &out]);
    }
    let same = ["--fail-if", "ttft.p50 > +50%", "--baseline", "main", "--out", "same"];
    place.expect(0, &[&twice[..], &same].concat());
    // As in a comparison, one trial decides nothing.
    let once = [&RUN[..], &slower, &["--baseline", "main", "--out", "once"]].concat();
    let told = place.expect(0, &once);
    assert!(told.contains("? engine=sim: TTFT p50 is 80."), "{told}");
    assert!(told.contains("one trial: nothing is known of the spread between trials"), "{told}");
    let told = place.expect(0, &["compare", "old", "once", "--fail-if", "ttft.p50 > +50%"]);
    assert!(told.contains("one trial: nothing is known of the spread between trials"), "{told}");
    let itself = ["report", "same", "--fail-if", "ttft.p50 > +50%", "--baseline", "same"];
    let told = place.expect(2, &itself);
    assert!(told.contains("this is the run itself"), "{told}");
    let none = place.expect(66, &[&RUN[..], &slower, &["--baseline", "nope"]].concat());
    assert!(none.contains("bench baseline save nope RUN_DIRECTORY"), "{none}");
    let told = place.expect(2, &["report", "old", "--fail-if", "e2e.p50 > +50%"]);
    assert!(told.contains("no baseline is named"), "{told}");
    let idle = place.expect(2, &[&RUN[..], &["--baseline", "main"]].concat());
    assert!(idle.contains("no gate is held against it"), "{idle}");
}

#[test]
fn a_baseline_is_a_run_that_ended_and_says_which_cells_have_no_numbers() {
    let place = place();
    let (measured, _) = SCENARIO.split_once("[gate]").unwrap();
    let dead = "[engine.dead]\npreset = \"endpoint\"\nurl = \"http://127.0.0.1:9\"\nmodel = \"m\"\n\
                ready-timeout = \"300ms\"\n";
    let both = format!("{measured}{dead}[matrix]\nengine = [\"sim\", \"dead\"]\n");
    place.write("s.toml", &both);
    place.expect(0, &[&RUN[..], &["--out", "run"]].concat());
    let told = place.expect(0, &["baseline", "save", "part", "run"]);
    let missing =
        "note: 1 of 2 cells has no numbers that a run can be held against: engine=dead (failed)";
    assert!(told.contains(missing) && told.contains("baselines/part.json"), "{told}");

    // As of a run that a power cut ended.
    let events = place.path("run/events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let (cut, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&events, format!("{cut}\n")).unwrap();
    let told = place.expect(66, &["baseline", "save", "cut", "run"]);
    assert!(told.contains("did not reach its end") && told.contains("bench resume"), "{told}");
    assert!(!place.path("baselines/cut.json").exists());

    let only_dead = measured.replace("[engine.sim]\nttft = \"40ms\"\nitl = \"1ms\"\n", dead);
    place.write("s.toml", &only_dead);
    place.expect(102, &["run", "s.toml", "--quiet", "--out", "none"]);
    let told = place.expect(66, &["baseline", "save", "none", "none"]);
    assert!(told.contains("no cell of none has numbers"), "{told}");
}

#[test]
fn conditions_that_cannot_be_read_are_refused_before_anything_starts() {
    let place = place();
    let check = |gate: &str, expected: &[&str]| {
        place.write("s.toml", &SCENARIO.replace("\"ttft.p50 < 2s\"", gate));
        let told = place.expect(78, &["check", "s.toml"]);
        for wanted in expected {
            assert!(told.contains(wanted), "{gate}: no {wanted}\n{told}");
        }
        place.expect(78, &[&RUN[..], &["--out", "never"]].concat());
        assert!(!place.path("never").exists());
    };
    check("\"tftt.p50 < 2s\"", &["`tftt` is not a metric", "did you mean `ttft`?"]);
    check("\"ttft.p50 < 2\"", &["`2` has no unit"]);
    check("\"accuracy >= 0.5\"", &["no answer is graded", "[score.answer]"]);
    let usage = place.expect(2, &["report", "nowhere", "--fail-if", "ttft > 5ms"]);
    assert!(usage.contains("`ttft` is a distribution: write ttft.p50"), "{usage}");

    let whole = SCENARIO.replace("max-tokens = 8\n", "max-tokens = 8\nstream = false\n");
    place.write("s.toml", &whole);
    let told = place.expect(78, &["check", "s.toml"]);
    assert!(told.contains("not streamed") && told.contains("use `e2e`"), "{told}");
    place.write("s.toml", &whole.replace("\"ttft.p50 < 2s\", ", ""));
    let told = place.expect(2, &[&RUN[..], &["--fail-if", "ttft.p50 > 2s"]].concat());
    assert!(told.contains("not streamed") && told.contains("use `e2e`"), "{told}");

    place.write("s.toml", &format!("{SCENARIO}[score.a]\nextract = [\"strict\"]\nfloor = 0.7\n"));
    let told = place.expect(78, &["check", "s.toml"]);
    assert!(told.contains("unknown key `floor`"), "{told}");
    assert!(told.contains("write `must = [\"accuracy >= 0.7\"]` below `[gate]`"), "{told}");
}
