//! An engine's life from outside: it becomes ready, is watched, dies, is stopped, leaves nothing.

use std::fs;
use std::time::{Duration, Instant};

use bench::engine::{Engine, NotStarted, StartStep};
use bench::record::event::FailureClass;
use bench::units::Nanos;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Bed, launch, wait_for};
use crate::fail;

/// The tree of vLLM: leader, child in its group, child in a session of its own; all deaf to
/// SIGTERM and renamed so that their environment is wiped.
const HOSTILE: [&str; 6] =
    ["--ignore-term", "--proctitle", "--fork-workers", "2", "--setsid-worker", "--respawn"];

/// Returns the pid of the process with this title, once it has taken it.
fn pid_of(bed: &Bed, title: &str) -> i32 {
    let mut pid = None;
    let is_there = wait_for(Duration::from_secs(10), || {
        let left = bed.left();
        pid = left.iter().find(|row| row.contains(title)).cloned();
        pid.is_some()
    });
    assert!(is_there, "no {title} in {:?}", bed.left());
    pid.unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_engine_becomes_ready_tells_its_facts_and_leaves_nothing_when_stopped() {
    let bed = Bed::new();
    let mut launch = launch(&["--say", "Loading weights took 0.25 seconds"]);
    launch
        .log_patterns
        .stages
        .insert("weights".to_owned(), r"weights took (?<secs>[\d.]+) s".to_owned());
    launch.configuration.insert(
        "/props".to_owned(),
        [("/default/n_ctx".to_owned(), "context-length".to_owned())].into_iter().collect(),
    );
    let mut steps = Vec::new();
    let engine = Engine::start(&launch, &bed.context(), &mut |step| steps.push(step)).unwrap();
    let port = engine.port();
    assert!(
        matches!(&steps[0], StartStep::Spawning { port: at, argv } if *at == port && argv.contains(&port.to_string()))
    );
    let timeline = engine.timeline().clone();
    assert!(timeline.port_bound.unwrap() <= timeline.healthy.unwrap());
    assert!(timeline.healthy.unwrap() <= timeline.first_token.unwrap());
    assert_eq!(timeline.log_stages[0].took, Some(Nanos::from_millis(250)));
    let facts = engine.facts();
    assert_eq!(facts.version.as_deref(), Some("1.2.3"));
    assert_eq!(facts.models, ["fake"]);
    assert_eq!(facts.probe_prompt_tokens, Some(10));
    assert_eq!(facts.configuration["context-length"], "512");
    assert_eq!(engine.watch().failure(), None);
    let stop = engine.stop();
    assert!(stop.killed.is_empty() && stop.survivors.is_empty() && stop.port_free, "{stop:?}");
    bed.assert_clean();
}

#[test]
fn workers_that_ignore_sigterm_leave_their_session_and_respawn_are_all_killed() {
    let bed = Bed::new();
    let mut launch = launch(&HOSTILE);
    launch.stop_grace = Nanos::from_millis(300);
    let engine = bed.start(&launch);
    assert!(wait_for(Duration::from_secs(10), || bed.left().len() >= 6), "{:?}", bed.left());
    pid_of(&bed, "FAKE::EngineCore");
    let stop = engine.stop();
    assert!(stop.survivors.is_empty() && stop.port_free, "{stop:?}");
    assert!(stop.killed.iter().any(|row| row.contains("FAKE::EngineCor")), "{stop:?}");
    bed.assert_clean();
}

#[test]
fn a_killed_leader_is_seen_at_once_and_its_workers_go_with_the_stop() {
    let bed = Bed::new();
    let mut launch = launch(&HOSTILE);
    launch.stop_grace = Nanos::from_millis(100);
    let engine = bed.start(&launch);
    let watch = engine.watch();
    kill(Pid::from_raw(pid_of(&bed, "FAKE::APIServer")), Signal::SIGKILL).unwrap();
    let begin = Instant::now();
    assert!(wait_for(Duration::from_secs(2), || watch.failure().is_some()));
    let failure = watch.failure().unwrap();
    assert_eq!(failure.class, FailureClass::Died, "{failure:?} after {:?}", begin.elapsed());
    assert_eq!(failure.exit.as_deref(), Some("signal 9 (KILL)"));
    assert!(failure.message.contains("memory"), "{}", failure.message);
    let stop = engine.stop();
    assert!(stop.survivors.is_empty() && stop.port_free, "{stop:?}");
    bed.assert_clean();
}

#[test]
fn one_dead_worker_is_the_death_of_the_engine() {
    let bed = Bed::new();
    let engine = bed.start(&launch(&["--fork-workers", "4", "--proctitle"]));
    let rank = pid_of(&bed, "FAKE::Worker_TP2");
    kill(Pid::from_raw(rank), Signal::SIGKILL).unwrap();
    let watch = engine.watch();
    assert!(wait_for(Duration::from_secs(2), || watch.failure().is_some()));
    let failure = watch.failure().unwrap();
    assert_eq!(failure.class, FailureClass::Died);
    assert!(failure.message.contains(&format!("{rank} FAKE::Worker_TP")), "{}", failure.message);
    engine.stop();
    bed.assert_clean();
}

#[test]
fn an_exit_with_status_0_during_service_is_a_failure_with_the_logs_end() {
    let bed = Bed::new();
    let engine = bed.start(&launch(&[
        "--exit-after",
        "1.5",
        "--say",
        "bye \\x1b[31mred",
        "--fork-workers",
        "1",
    ]));
    let watch = engine.watch();
    assert!(wait_for(Duration::from_secs(10), || watch.failure().is_some()));
    let failure = watch.failure().unwrap();
    assert_eq!(
        (failure.class, failure.exit.as_deref()),
        (FailureClass::Died, Some("exit status 0"))
    );
    assert_eq!(failure.log_tail, ["bye red"]);
    engine.stop();
    bed.assert_clean();
}

#[test]
fn an_exit_before_it_is_ready_is_a_failure_whatever_the_status() {
    for (code, expected) in [("0", "exit status 0"), ("3", "exit status 3")] {
        let bed = Bed::new();
        let begin = Instant::now();
        let failure = fail(
            &bed,
            &launch(&["--listen-delay", "3600", "--exit-after", "0", "--exit-code", code]),
        );
        assert_eq!(failure.class, FailureClass::ExitedEarly, "{failure:?}");
        assert_eq!(failure.exit.as_deref(), Some(expected));
        assert!(begin.elapsed() < Duration::from_secs(30), "not seen before a deadline");
        bed.assert_clean();
    }
}

#[test]
fn a_launcher_that_daemonises_is_refused_and_its_server_does_not_stay() {
    let bed = Bed::new();
    let failure = fail(&bed, &launch(&["--daemonise", "--listen-delay", "1"]));
    assert_eq!(failure.class, FailureClass::ExitedEarly);
    assert_eq!(failure.exit.as_deref(), Some("exit status 0"));
    bed.assert_clean();
}

#[test]
fn the_log_tells_of_what_an_engine_died() {
    let bed = Bed::new();
    let flags = ["--say", "torch.OutOfMemoryError: CUDA out of memory.", "--exit-after", "0"];
    let failure = fail(&bed, &launch(&[&flags[..], &["--listen-delay", "3600"]].concat()));
    assert_eq!(failure.class, FailureClass::OutOfMemory);
    assert_eq!(failure.log_tail, ["torch.OutOfMemoryError: CUDA out of memory."]);
}

#[test]
fn a_missing_program_is_named() {
    let bed = Bed::new();
    let mut launch = launch(&[]);
    launch.argv[0] = "no-such-engine".to_owned();
    let failure = fail(&bed, &launch);
    assert_eq!(failure.class, FailureClass::Spawn);
    assert!(failure.message.starts_with("no-such-engine: not on PATH"), "{}", failure.message);
    bed.assert_clean();
}

#[test]
fn a_missing_working_directory_is_named_and_not_the_program() {
    let bed = Bed::new();
    let mut launch = launch(&[]);
    launch.cwd = Some("/no/such/directory".into());
    let failure = fail(&bed, &launch);
    assert_eq!(failure.class, FailureClass::Spawn);
    let told = "`cwd` /no/such/directory: No such file";
    assert!(failure.message.contains(told), "{}", failure.message);
    bed.assert_clean();
}

#[test]
fn health_alone_does_not_make_an_engine_ready() {
    // A status of the server's own may pass; an answer without a token is no answer.
    for (generate, class, said) in [
        ("500", FailureClass::TimedOut, "CUDA kernel failed"),
        ("empty", FailureClass::Server, "(3 times): [DONE] without a token"),
    ] {
        let bed = Bed::new();
        let mut launch = launch(&["--generate", generate]);
        launch.readiness.timeout = Nanos::from_secs(4);
        let failure = fail(&bed, &launch);
        assert_eq!(failure.class, class);
        assert!(failure.message.contains(said), "{}", failure.message);
        bed.assert_clean();
    }
}

#[test]
fn an_engine_that_hangs_is_given_up_at_the_deadline_and_taken_down() {
    for (flags, waits_for) in
        [(["--generate", "hang"], "its first token"), (["--health", "503"], "its health URL")]
    {
        let bed = Bed::new();
        let mut launch = launch(&flags);
        launch.readiness.timeout = Nanos::from_secs(3);
        let failure = fail(&bed, &launch);
        assert_eq!(failure.class, FailureClass::TimedOut);
        assert!(failure.message.contains(waits_for), "{}", failure.message);
        bed.assert_clean();
    }
}

#[test]
fn another_model_than_the_asked_one_is_refused_with_both_names() {
    let bed = Bed::new();
    let mut launch = launch(&["--model-id", "other"]);
    launch.readiness.timeout = Nanos::from_secs(3);
    let failure = fail(&bed, &launch);
    assert_eq!(failure.class, FailureClass::WrongModel);
    let told = "serves `other` where `fake` was asked for: waited 3.00 s for it: GET ";
    assert!(failure.message.starts_with(told), "{}", failure.message);
    bed.assert_clean();
}

#[test]
fn an_interrupt_ends_a_start_and_takes_the_tree_down() {
    let bed = Bed::new();
    let interrupt = bed.interrupt.clone();
    let launch = launch(&["--listen-delay", "3600", "--setsid-worker"]);
    let not_started = Engine::start(&launch, &bed.context(), &mut |step| {
        if matches!(step, StartStep::Spawning { .. }) {
            interrupt.raise(2);
        }
    });
    assert!(matches!(not_started, Err(NotStarted::Interrupted)), "{not_started:?}");
    bed.assert_clean();
}

#[test]
fn a_second_interrupt_during_a_stop_kills_without_grace() {
    let bed = Bed::new();
    let mut launch = launch(&["--ignore-term"]);
    launch.stop_grace = Nanos::from_secs(60);
    let engine = bed.start(&launch);
    bed.interrupt.raise(2);
    bed.interrupt.raise(2);
    let begin = Instant::now();
    let stop = engine.stop();
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert!(!stop.killed.is_empty() && stop.survivors.is_empty(), "{stop:?}");
    bed.assert_clean();
}

#[test]
fn a_dropped_engine_leaves_nothing() {
    let bed = Bed::new();
    drop(bed.start(&launch(&HOSTILE)));
    bed.assert_clean();
}

#[test]
fn a_flood_of_log_lines_neither_blocks_the_engine_nor_fills_the_disk() {
    let bed = Bed::new();
    let engine = bed.start(&launch(&["--flood-mb", "120", "--say", "the first line"]));
    // The guardian looks at the log several times a second, also after the flood.
    let is_cut = || {
        let text = fs::read_to_string(bed.log()).unwrap();
        text.len() as u64 <= bench::engine::log::LOG_BYTES_MAX
            && text.contains("bytes of this log were left out here]")
    };
    assert!(wait_for(Duration::from_mins(1), is_cut));
    assert!(fs::read_to_string(bed.log()).unwrap().starts_with("the first line\n"));
    engine.stop();
}

#[test]
fn a_secret_that_the_engine_prints_is_in_neither_message_nor_log() {
    let bed = Bed::new();
    let mut launch = launch(&["--say", "key sk-canary-12345", "--exit-after", "0"]);
    launch.env.insert("FAKE_API_KEY".to_owned(), "sk-canary-12345".to_owned());
    launch.api_key_env = Some("FAKE_API_KEY".to_owned());
    launch.argv.extend(["--listen-delay".to_owned(), "3600".to_owned()]);
    let failure = fail(&bed, &launch);
    // In the message "***", unless the guardian was there first: it overwrites byte by byte.
    assert_eq!(failure.log_tail.len(), 1);
    assert_eq!(failure.log_tail[0].trim_end_matches('*'), "key ", "{failure:?}");
    assert_eq!(fs::read_to_string(bed.log()).unwrap(), "key ***************\n");
}

#[test]
fn a_second_signal_kills_the_engine_while_the_runner_is_busy_with_something_else() {
    let bed = Bed::new();
    let engine = bed.start(&launch(&["--ignore-term", "--fork-workers", "2", "--setsid-worker"]));
    bed.interrupt.raise(2);
    assert!(!bed.left().is_empty());
    // Nobody stops the engine here: this thread would hang in a library, say.
    bed.interrupt.raise(2);
    assert!(wait_for(Duration::from_secs(5), || bed.left().is_empty()), "{:?}", bed.left());
    assert!(engine.watch().failure().is_none(), "a wanted end is not a failure of the engine");
    let stop = engine.stop();
    assert!(stop.survivors.is_empty() && stop.port_free);
    bed.assert_clean();
}
