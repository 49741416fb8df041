//! A limit of the system that is too low for a load.

use std::process::Command;

use crate::bed::{Bed, Ended, SCENARIO};

#[test]
fn too_few_descriptors_are_told_before_an_engine_starts() {
    let bed = Bed::new();
    let limited = |arguments: &str| {
        let script = format!("ulimit -n 100; exec \"$0\" {arguments}");
        let mut shell = Command::new("bash");
        bed.settle(shell.args(["-c", &script, env!("CARGO_BIN_EXE_bench")]));
        Ended::of(&shell.output().unwrap())
    };
    bed.write(&SCENARIO.replace("concurrency = [1, 2]", "concurrency = [1, 300]"));
    let told = limited("run s.toml --out run").expect(71);
    told.says("cell engine=fast,concurrency=300").says("file descriptors").says("ulimit -n");
    assert_eq!(bed.count_events("run", "engine-starting"), 0);
    for command in ["check", "plan"] {
        let told = limited(&format!("{command} s.toml")).expect(0);
        told.says("warning[scenario/descriptors]").says("but the limit is 100");
    }
    assert!(!limited("check s.toml --set matrix.concurrency=[1]").err.contains("descriptors"));
}
