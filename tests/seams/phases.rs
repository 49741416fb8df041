//! A cell with several measured phases: a row for each, in every file that a run writes.

use std::collections::BTreeSet;

use crate::place::{Place, SIM, json};

/// A scored scenario with these phases after its warm-up.
fn scenario(phases: &str) -> String {
    format!(
        "{SIM}answer-from = \"./q.jsonl\"\n[dataset.q]\nsource = \"gsm8k\"\n\
         location = \"./q.jsonl\"\ncycle = true\n[score.answer]\n[request]\nmax-tokens = 32\n\
         [phase.warm_up]\nrequests = 3\n{phases}"
    )
}

fn place() -> Place {
    let place = Place::new();
    let questions: String = (0..20)
        .map(|n| {
            let answer = format!("That is {n}\n#### {n}");
            let row = serde_json::json!({ "question": format!("What is {n}?"), "answer": answer });
            row.to_string() + "\n"
        })
        .collect();
    place.write("q.jsonl", &questions);
    place
}

#[test]
fn each_measured_phase_is_a_row_of_its_own() {
    let place = place();
    let run = place.run(&scenario(
        "[phase.one]\nconcurrency = 1\nrequests = 5\n[phase.burst]\nconcurrency = 4\nrequests = 9\n",
    ));
    for command in ["verify", "report", "verify"] {
        place.expect(0, &[command, "run"]);
    }
    let summary = json(&run.join("summary.json"));
    let cells = summary["cells"].as_array().unwrap();
    let ids: BTreeSet<&str> = cells.iter().map(|cell| cell["id"].as_str().unwrap()).collect();
    assert_eq!((cells.len(), ids.len()), (2, 2));
    for (cell, (phase, n)) in cells.iter().zip([("one", 5), ("burst", 9)]) {
        assert_eq!(cell["name"], format!("engine=sim,phase={phase}"));
        assert_eq!((&cell["phase"], &cell["keys"]["phase"]), (&phase.into(), &phase.into()));
        assert_eq!((&cell["counts"]["scheduled"], &cell["counts"]["ok"]), (&n.into(), &n.into()));
        assert_eq!(
            (&cell["accuracy"][0]["n"], &cell["accuracy"][0]["correct"]),
            (&n.into(), &n.into())
        );
        assert_eq!(cell["distributions"]["ttft"]["n"], n);
    }
    // Four streams do more than one, and neither rate is that of both together.
    let rate = |at: usize| cells[at]["figures"]["output_throughput"]["value"].as_f64().unwrap();
    assert!(rate(1) > 1.5 * rate(0), "{} and {}", rate(0), rate(1));
    let requests = std::fs::read_to_string(run.join("requests.csv")).unwrap();
    let n_of = |cell: &str| requests.lines().filter(|line| line.contains(cell)).count();
    assert_eq!(requests.lines().count(), 1 + 3 + 5 + 9);
    assert_eq!((n_of("engine=sim,phase=one"), n_of("engine=sim,phase=burst")), (5, 9));
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("burst"), "{report}");
    let scored = place.expect(0, &["score", "run"]);
    assert!(scored.contains("phase=one") && scored.contains("phase=burst"), "{scored}");
}

#[test]
fn a_cell_with_one_measured_phase_is_its_own_row() {
    let place = place();
    let run = place.run(&scenario("[phase.one]\nconcurrency = 1\nrequests = 5\n"));
    let (summary, plan) = (json(&run.join("summary.json")), json(&run.join("plan.json")));
    assert_eq!(summary["cells"][0]["id"], plan["cells"][0]["id"]);
    assert_eq!(summary["cells"][0]["name"], plan["cells"][0]["name"]);
    assert!(summary["cells"][0].get("phase").is_none());
}

#[test]
fn an_open_loop_that_runs_out_of_rows_says_so_beforehand_and_afterwards() {
    let place = Place::new();
    let rows: Vec<String> = (0..60).map(|n| format!("{{\"prompt\": \"Say {n}.\"}}")).collect();
    let rows = rows.join("\n");
    place.write("d.jsonl", &rows);
    let scenario = |cycle: bool| {
        format!(
            "{SIM}[dataset.d]\nsource = \"jsonl\"\nlocation = \"./d.jsonl\"\ncycle = {cycle}\n\
             [request]\nmax-tokens = 2\n[phase.load]\nrate = 100.0\narrival = \"constant\"\n\
             duration = \"2s\"\n"
        )
    };
    let run = place.run(&scenario(false));
    let cell = json(&run.join("summary.json"))["cells"][0].clone();
    assert_eq!(cell["counts"]["ok"], 60);
    assert!(cell["caveats"].to_string().contains("ran-out"), "{}", cell["caveats"]);
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("no more request to send after 590 ms of 2.00 s"), "{report}");
    let rate = cell["figures"]["request_throughput"]["value"].as_f64().unwrap();
    assert!((70.0..130.0).contains(&rate), "{rate}");
    let told = place.expect(0, &["check", "s.toml"]);
    assert!(told.contains("has 60 rows, and sends the last after 590 ms of 2.00 s"), "{told}");
    place.write("s.toml", &scenario(true));
    let told = place.expect(0, &["check", "s.toml"]);
    assert!(!told.contains("rows, and sends the last"), "{told}");
    // Enough rows are no doubt.
    place.write("s.toml", &scenario(false).replace("\"2s\"", "\"500ms\""));
    let told = place.expect(0, &["check", "s.toml"]);
    assert!(!told.contains("rows, and sends the last"), "{told}");
}
