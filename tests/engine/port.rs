//! Whose server it is: a foreign one on the engine's port is never taken for the engine.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use bench::engine::process::port;
use bench::engine::{Engine, StartStep};
use bench::record::event::{FailureClass, LoadTimeline};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::bed::{Bed, launch, wait_for};
use crate::fail;

/// A healthy server with the same model id that nobody of ours started.
struct Rival(Child);

impl Rival {
    fn on(port: u16) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/fake_engine.py");
        let child = Command::new("python3")
            .args([script, "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let serves = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait_for(Duration::from_secs(30), serves));
        Self(child)
    }

    fn is_untouched(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_healthy_server_with_the_same_model_on_a_fixed_port_is_not_accepted() {
    let bed = Bed::new();
    let port = port::pick().unwrap();
    let mut rival = Rival::on(port);
    let mut launch = launch(&[]);
    launch.base_url = format!("http://127.0.0.1:{port}");
    launch.argv[4] = port.to_string();
    let failure = fail(&bed, &launch);
    assert_eq!(failure.class, FailureClass::Port);
    let pid = rival.0.id();
    assert!(failure.message.contains(&format!("pid {pid} (")), "{}", failure.message);
    assert!(rival.is_untouched());
    bed.assert_clean();
}

#[test]
fn a_server_that_takes_the_picked_port_first_is_not_accepted_and_another_port_is_tried() {
    let bed = Bed::new();
    let fifo = bed.dir.path().join("rival");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let rival = thread::spawn({
        let fifo = fifo.clone();
        move || {
            // The engine tells its port and then does not bind it.
            let port = fs::read_to_string(&fifo).unwrap().trim().parse().unwrap();
            fs::remove_file(&fifo).unwrap();
            (port, Rival::on(port))
        }
    });
    let launch = launch(&["--wake-rival", fifo.to_str().unwrap()]);
    let mut ports = Vec::new();
    let engine = Engine::start(&launch, &bed.context(), &mut |step| {
        if let StartStep::Spawning { port, .. } = step {
            ports.push(port);
        }
    })
    .unwrap();
    let (rival_port, mut rival) = rival.join().unwrap();
    assert_eq!(ports.len(), 2, "{ports:?}");
    assert_eq!(ports[0], rival_port);
    assert_eq!(engine.port(), ports[1]);
    assert!(rival.is_untouched());
    assert!(engine.stop().port_free);
    bed.assert_clean();
}

#[test]
fn an_engine_that_finds_its_port_taken_says_so_three_times_at_most() {
    let bed = Bed::new();
    let mut launch = launch(&["--say", "OSError: [Errno 98] Address already in use"]);
    launch.argv.extend(["--listen-delay", "3600", "--exit-after", "0"].map(str::to_owned));
    let mut n_starts = 0;
    let started = Engine::start(&launch, &bed.context(), &mut |step| {
        n_starts += u32::from(matches!(step, StartStep::Spawning { .. }));
    });
    assert!(started.is_err());
    assert_eq!(n_starts, 3);
    bed.assert_clean();
}

#[test]
fn an_engine_that_runs_elsewhere_is_attached_to_and_left_alone() {
    let bed = Bed::new();
    let port = port::pick().unwrap();
    let mut rival = Rival::on(port);
    let mut launch = launch(&[]);
    launch.argv.clear();
    launch.base_url = format!("http://127.0.0.1:{port}");
    let engine = bed.start(&launch);
    assert_eq!((engine.port(), engine.tree_root()), (port, None));
    // It was not started, so that nothing of it took time to load.
    assert_eq!(engine.timeline(), &LoadTimeline::default());
    assert!(engine.stop().port_free);
    assert!(rival.is_untouched());
}
