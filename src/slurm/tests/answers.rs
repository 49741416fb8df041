//! Lines of real Slurm 22.05, and of one that misbehaves.

use crate::slurm::answer::{Task, has_no_cluster, is_out_of_reach, job_id, of_sacct, of_squeue};

#[test]
fn a_job_id_is_read_strictly() {
    let check = |stdout: &str, expected: Option<u64>| assert_eq!(job_id(stdout), expected);
    check("123\n", Some(123));
    check("123;cluster\n", Some(123));
    check("Submitted batch job 123\n", None);
    check("", None);
    check("12\n13\n", None);
}

#[test]
fn squeue_tells_of_tasks_with_their_states_and_reasons() {
    let told = "1|0|RUNNING|2026-11-29T18:37:50|2026-11-29T18:38:50|n1|None|sweep-3f9a|bench:3f9a\n\
                1|7|PENDING|N/A|N/A||BeginTime|sweep-3f9a|a | b bench:3f9a\n\
                8|N/A|RUNNING|N/A|N/A|n1|None|wrap|(null)\njunk\n";
    let tasks = of_squeue(told);
    let seen: Vec<_> =
        tasks.iter().map(|task| (task.id(), task.is_live(), &*task.reason)).collect();
    assert_eq!(seen, [("1_0".into(), true, ""), ("1_7".into(), true, "BeginTime")]);
    assert!(tasks.iter().all(|task| task.is_of("3f9a") && !task.is_of("9a")));
    assert_eq!(
        (&*tasks[0].node, &*tasks[0].end, &*tasks[1].start),
        ("n1", "2026-11-29T18:38:50", "")
    );
}

#[test]
fn sacct_tells_how_tasks_ended() {
    let told = "2_0|sweep-3f9a|COMPLETED|0:0|2026-11-29T18:40:00|n1\n\
                2_1|sweep-3f9a|CANCELLED by 0|0:0|2026-11-29T18:40:00|n1\n\
                2_2|sweep-3f9a|FAILED|100:0|2026-11-29T18:40:00|n2\n\
                2_3|sweep-3f9a|OUT_OF_MEMORY|0:125|Unknown|n2\n\
                4_[0-1,7%2]|sweep-3f9b|CANCELLED by 0|0:0|2026-12-01T09:49:34|None assigned\n\
                5_[x]|sweep-3f9b|CANCELLED by 0|0:0|2026-12-01T09:49:34|None assigned\n";
    let seen: Vec<(String, String, bool)> = of_sacct(told)
        .into_iter()
        .map(|task: Task| {
            (format!("{} {}", task.id(), task.state), task.reason.clone(), task.is_live())
        })
        .collect();
    let expected = [
        ("2_0 COMPLETED", ""),
        ("2_1 CANCELLED", "by 0"),
        ("2_2 FAILED", "exit code 100:0"),
        ("2_3 OUT_OF_MEMORY", "exit code 0:125"),
        ("4_0 CANCELLED", "by 0"),
        ("4_1 CANCELLED", "by 0"),
        ("4_7 CANCELLED", "by 0"),
    ];
    assert_eq!(seen, expected.map(|(task, why)| (task.to_owned(), why.to_owned(), false)));
}

#[test]
fn a_state_that_nobody_knows_is_not_an_end() {
    let told = "1|0|LEVITATING|N/A|N/A||None|sweep-3f9a|bench:3f9a\n";
    assert!(of_squeue(told)[0].is_live());
}

#[test]
fn a_controller_that_cannot_be_reached_is_no_refusal() {
    let check = |stderr: &str, expected: bool| assert_eq!(is_out_of_reach(stderr), expected);
    check(
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        true,
    );
    check(
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        true,
    );
    check("sbatch: error: invalid partition specified: nope", false);
    assert!(!has_no_cluster("sbatch: error: invalid partition specified: nope"));
    assert!(has_no_cluster(
        "sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n\
         sbatch: error: fetch_config: DNS SRV lookup failed\n\
         sbatch: error: _establish_config_source: failed to fetch config\n\
         sbatch: fatal: Could not establish a configuration source"
    ));
}
