//! One directory read by all who read it, whole and damaged.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::place::{Place, SIM, conversations, json, lines};

/// Requires that both readers of a damaged directory say so, at the place, and go no further.
#[track_caller]
fn check_damaged(place: &Place, at: &str) {
    for command in ["verify", "report"] {
        let told = place.expect(107, &[command, "run"]);
        assert!(told.contains(at), "bench {command} does not name {at}:\n{told}");
    }
}

#[test]
fn a_run_of_conversations_is_whole_and_each_turn_has_a_key_of_its_own() {
    let place = Place::new();
    place.write("chats.jsonl", &conversations(6, 3));
    let run = place.run(&format!(
        "{SIM}[dataset.chats]\nsource = \"jsonl\"\nlocation = \"./chats.jsonl\"\n\
         columns = {{ messages = \"messages\" }}\nmulti-turn = true\ncycle = true\n[request]\nmax-tokens = 4\n\
         [phase.warm_up]\nconcurrency = 2\nduration = \"300ms\"\n\
         [phase.load]\nconcurrency = 2\nrequests = 6\n"
    ));
    place.expect(0, &["verify", "run"]);
    place.expect(0, &["report", "run"]);
    place.expect(0, &["verify", "run"]);

    let trial = fs::read_dir(run.join("cells")).unwrap().next().unwrap().unwrap().path();
    let requests = lines(&trial.join("trial-1/requests.jsonl"));
    let key = |row: &Value| {
        let turn = row["turn"].as_u64().unwrap_or(0);
        (row["phase"].as_u64().unwrap(), row["index"].as_u64().unwrap(), turn)
    };
    let keys: BTreeSet<_> = requests.iter().map(key).collect();
    assert_eq!(keys.len(), requests.len(), "two records have one key");
    let load: BTreeSet<_> =
        keys.iter().filter(|key| key.0 == 1).map(|key| (key.1, key.2)).collect();
    let every_turn = (0..6).flat_map(|index| (0..3).map(move |turn| (index, turn)));
    assert_eq!(load, every_turn.collect());
    let cell = &json(&run.join("summary.json"))["cells"][0];
    assert_eq!(cell["counts"]["scheduled"], 18);
    let phases = &json(&trial.join("trial-1/trial.json"))["record"]["phases"];
    assert_eq!(phases[1]["n_scheduled"], 18);
    assert_eq!(phases[0]["n_scheduled"].as_u64().unwrap() + 18, requests.len() as u64);

    // The first five columns name a row.
    let table = fs::read_to_string(run.join("requests.csv")).unwrap();
    let mut rows = table.lines();
    assert!(rows.next().unwrap().starts_with("cell,trial,phase,index,turn,"));
    let names: BTreeSet<Vec<&str>> = rows.map(|row| row.splitn(6, ',').take(5).collect()).collect();
    assert_eq!(names.len(), requests.len());

    // A turn that is lost is missed.
    let path = trial.join("trial-1/requests.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let turn = text.lines().position(|line| line.contains("\"turn\":2")).unwrap();
    fs::write(&path, without_line(&text, turn)).unwrap();
    check_damaged(&place, "requests.jsonl");
}

fn without_line(text: &str, at: usize) -> String {
    let kept = text.split_inclusive('\n').enumerate().filter(|(line, _)| *line != at);
    kept.map(|(_, line)| line).collect()
}

#[test]
fn every_face_says_where_the_wall_time_went_and_the_parts_are_all_of_it() {
    let place = Place::new();
    place.write("q.jsonl", "{\"prompt\":\"Hello\"}\n");
    let began = Instant::now();
    let run = place.run(&format!(
        "{SIM}[dataset.q]\nsource = \"jsonl\"\nlocation = \"./q.jsonl\"\ncycle = true\n\
         [request]\nmax-tokens = 2\n[phase.warm_up]\nrequests = 4\n\
         [phase.load]\nrate = 50.0\narrival = \"constant\"\nrequests = 26\ntrials = 2\n"
    ));
    let wall_ns = began.elapsed().as_nanos() as u64;
    let summary = json(&run.join("summary.json"));
    let spent = |part: &str| summary["wall_time"][part].as_u64().unwrap();
    let parts = [
        "starting",
        "waiting_for_ready",
        "warming_up",
        "measuring",
        "draining",
        "stopping",
        "unfinished",
        "between",
    ];
    assert_eq!(parts.map(spent).iter().sum::<u64>(), spent("total"));
    let mut at = Vec::new();
    for record in lines(&run.join("events.jsonl")) {
        if record["event"].get("run-finished").is_none() {
            at.push(record["unix_ns"].as_u64().unwrap());
        }
    }
    assert_eq!(spent("total"), at[at.len() - 1] - at[0]);
    assert!(spent("total") < wall_ns, "{} of {wall_ns} ns", spent("total"));
    // Twice 25 gaps of 20 ms; a busy machine adds to it.
    assert!(spent("measuring") >= 999_000_000, "{}", summary["wall_time"]);
    assert!(["starting", "warming_up", "stopping"].iter().all(|part| spent(part) > 0));
    assert_eq!(spent("unfinished"), 0);
    for file in ["report.md", "report.html"] {
        let text = fs::read_to_string(run.join(file)).unwrap();
        assert!(text.contains("wall time"), "{file} does not say it");
    }
    let told = place.expect(0, &["report", "run"]);
    assert!(told.contains("wall time: ") && told.contains("of it measuring"), "{told}");
}
