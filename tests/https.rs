//! Engines behind TLS and a client without ports: the program from outside.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "starts programs, reads what they wrote and says what is skipped or inconclusive"
)]

mod calm;
mod front;
mod turns;
mod undecided;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::calm::machine_is_calm;
use crate::front::{Certificate, Front};
use crate::turns::{alone, beside_others};

const BENCH: &str = env!("CARGO_BIN_EXE_bench");

/// A built-in engine that runs already.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(args: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(BENCH)
            .arg("serve")
            .args(args)
            .args(["--port", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the engine does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A directory with a scenario, and the run of it.
struct Bed {
    home: TempDir,
}

impl Bed {
    fn new(scenario: &str) -> Self {
        let bed = Self { home: tempfile::tempdir().unwrap() };
        fs::write(bed.path("scenario.toml"), scenario).unwrap();
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn bench(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BENCH);
        command
            .args(args)
            .env("HOME", self.home.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("HF_HUB_OFFLINE", "1")
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
        command
    }

    fn run(&self) -> Command {
        let mut command = self.bench(&["run", "--quiet", "--out"]);
        command.arg(self.path("run")).arg(self.path("scenario.toml"));
        command
    }

    fn cell(&self, engine: &str) -> Value {
        let summary = fs::read(self.path("run/summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        let cells = summary["cells"].as_array().unwrap();
        cells.iter().find(|cell| cell["keys"]["engine"] == engine).unwrap().clone()
    }

    /// Returns text and output tokens of each request.
    fn answers(&self, engine: &str) -> BTreeMap<(u64, u64), (String, u64)> {
        let name = self.cell(engine)["name"].as_str().unwrap().to_owned();
        let trial = self.path("run/cells").join(name).join("trial-1");
        let rows = |file: &str| -> Vec<Value> {
            let text = fs::read_to_string(trial.join(file)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let key = |row: &Value| (row["phase"].as_u64().unwrap(), row["index"].as_u64().unwrap());
        let tokens: BTreeMap<(u64, u64), u64> = rows("requests.jsonl")
            .iter()
            .map(|row| (key(row), row["usage"]["completion"].as_u64().unwrap()))
            .collect();
        let answer =
            |row: &Value| (key(row), (row["text"].as_str().unwrap().to_owned(), tokens[&key(row)]));
        rows("outputs.jsonl").iter().map(answer).collect()
    }
}

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
}

/// Returns the table of an engine that runs already, and the rest of a scenario.
fn endpoint(name: &str, url: &str, more: &str) -> String {
    format!(
        "[engine.{name}]\npreset = \"endpoint\"\nurl = \"{url}\"\nready-timeout = \"20s\"\n{more}\n"
    )
}

fn questions(rest: &str) -> String {
    let questions = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/datasets/word_problems.jsonl");
    format!("[dataset.q]\nsource = \"gsm8k\"\nlocation = \"{questions}\"\n{rest}\n")
}

#[test]
fn a_self_signed_endpoint_is_measured_with_its_accuracy() {
    let _turn = beside_others();
    let engine = Served::start(&["tiny"]);
    let front = Front::before(engine.address, Certificate::SelfSigned);
    let rest = questions(
        "limit = 24\n[score.answer]\nextract = [\"strict\"]\n[phase.load]\nconcurrency = 4\nrequests = \"all\"",
    );
    let table = |more| endpoint("secured", &front.url(), &format!("model = \"tiny\"\n{more}"));
    let bed = Bed::new(&(table("ca = \"engine.pem\"") + &rest));
    fs::write(bed.path("engine.pem"), &front.authority).unwrap();
    let output = bed.run().args(["--fail-on", "failed"]).output().unwrap();
    assert_code(&output, 0);
    let cell = bed.cell("secured");
    assert_eq!((&cell["counts"]["scheduled"], &cell["counts"]["ok"]), (&24.into(), &24.into()));
    assert!(cell["accuracy"][0]["share"].as_f64().unwrap() > 0.6, "{}", cell["accuracy"]);
    let report = fs::read_to_string(bed.path("run/report.md")).unwrap();
    assert!(!report.contains("were stamped by bench"), "the kernel stamps under TLS too: {report}");
    let verified = bed.bench(&["verify"]).arg(bed.path("run")).output().unwrap();
    assert_code(&verified, 0);

    // Nobody said that it may be trusted: no wait, and both ways out.
    let bed = Bed::new(&(table("") + &rest));
    let begun = Instant::now();
    let output = bed.run().output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "it was waited for");
    assert_code(&output, 102);
    for word in ["certificate", "self-signed", "ca = \"engine.pem\"", "SSL_CERT_FILE"] {
        assert!(told(&output).contains(word), "{word} is not in:\n{}", told(&output));
    }
    let failure = &bed.cell("secured")["outcome"]["failed"];
    assert_eq!(failure["class"], "server", "{failure}");

    // On the command line there is no table.
    let quick = |more: &[&str]| {
        let mut quick = bed.bench(&["quick", &front.url(), "--model", "tiny", "--dry-run"]);
        quick.args(more).output().unwrap()
    };
    let output = quick(&[]);
    assert_code(&output, 69);
    for word in ["self-signed", "`--set engine.server.ca=/path/of/engine.pem`", "SSL_CERT_FILE"] {
        assert!(told(&output).contains(word), "{word} is not in:\n{}", told(&output));
    }
    fs::write(bed.path("own.pem"), &front.authority).unwrap();
    let trust = format!("engine.server.ca={}", bed.path("own.pem").display());
    assert_code(&quick(&["--set", &trust]), 0);

    // What is named is not what it should be.
    for (text, code, word) in
        [(None, 78, "No such file"), (Some("nothing"), 78, "no PEM certificate")]
    {
        let bed = Bed::new(&(table("ca = \"engine.pem\"") + &rest));
        if let Some(text) = text {
            fs::write(bed.path("engine.pem"), text).unwrap();
        }
        let output = bed.run().output().unwrap();
        assert_code(&output, code);
        assert!(told(&output).contains(word), "{word} is not in:\n{}", told(&output));
    }
}

#[test]
fn an_authority_is_believed_and_what_it_signed_for_another_time_is_not() {
    let _turn = beside_others();
    let engine = Served::start(&["sim", "--ttft", "1ms", "--itl", "1ms"]);
    let rest = questions(
        "limit = 4\n[request]\nmax-tokens = 4\n[phase.load]\nconcurrency = 2\nrequests = 4",
    );
    let check_at = |url: &str, authority: &str, code, word: &str| {
        let bed = Bed::new(&(endpoint("secured", url, "model = \"sim\"") + &rest));
        fs::write(bed.path("authority.pem"), authority).unwrap();
        let mut run = bed.run();
        run.args(["--fail-on", "failed"]).env("SSL_CERT_FILE", bed.path("authority.pem"));
        let output = run.output().unwrap();
        assert_code(&output, code);
        assert!(told(&output).contains(word), "{word} is not in:\n{}", told(&output));
    };
    let check = |certificate, code, word: &str| {
        let front = Front::before(engine.address, certificate);
        check_at(&front.url(), &front.authority, code, word);
        front
    };
    let front = check(Certificate::Signed, 0, "secured");
    check(Certificate::Expired, 102, "expired");
    let begun = Instant::now();
    check(Certificate::Http2Alone, 102, "bench speaks no HTTP/2");
    assert!(begun.elapsed() < Duration::from_secs(15), "it was waited for");
    // No TLS at all, and nobody to trust.
    check_at(&format!("https://{}", engine.address), &front.authority, 102, "is it http://");
    check_at(&front.url(), "", 102, "install ca-certificates");
    // Nobody is needed without TLS.
    check_at(&format!("http://{}", engine.address), "", 0, "secured");
}

#[test]
fn known_latencies_are_the_same_with_and_without_tls() {
    let _turn = alone();
    let engine = Served::start(&["sim", "--ttft", "50ms", "--itl", "10ms"]);
    let front = Front::before(engine.address, Certificate::SelfSigned);
    let plain = format!("http://{}", engine.address);
    let scenario = endpoint("plain", &plain, "model = \"sim\"")
        + &endpoint("secured", &front.url(), "model = \"sim\"\nca = \"engine.pem\"")
        + "[matrix]\nengine = [\"plain\", \"secured\"]\n"
        + &questions(
            "cycle = true\n[request]\nmax-tokens = 16\nignore-eos = true\n\
             [phase.warm_up]\nrequests = 16\n[phase.load]\nconcurrency = 16\nrequests = 160",
        );
    let bed = Bed::new(&scenario);
    fs::write(bed.path("engine.pem"), &front.authority).unwrap();
    let was_calm = machine_is_calm();
    assert_code(&bed.run().args(["--fail-on", "failed"]).output().unwrap(), 0);
    let cells = ["plain", "secured"].map(|engine| bed.cell(engine));
    for cell in &cells {
        assert_eq!(cell["counts"]["ok"], 160, "{}", cell["counts"]);
    }
    let answers = ["plain", "secured"].map(|engine| bed.answers(engine));
    assert_eq!(answers[0].len(), 176);
    assert!(answers[0].values().all(|(text, n_tokens)| !text.is_empty() && *n_tokens == 16));
    assert_eq!(answers[0], answers[1]);
    // Sixteen for the load and some of the control plane, for 176 requests.
    let n_secured = front.n_secured.load(Ordering::Relaxed);
    assert!((16..60).contains(&n_secured), "{n_secured} connections");
    if !was_calm || !machine_is_calm() {
        return undecided::note(
            "inconclusive: others use this machine; latencies with TLS were not compared",
        );
    }
    // Stamps of the kernel, and this program's behind a front that adds a hop of its own.
    for (cell, tolerance) in cells.iter().zip([1.0, 3.0]) {
        for (metric, truth) in [("ttft", 50.0), ("tpot", 10.0), ("icl", 10.0)] {
            let median = cell["distributions"][metric]["percentiles"][0]["value"].as_f64();
            let error = (median.unwrap() - truth).abs();
            assert!(error < tolerance, "{metric}: {median:?} ms instead of {truth} ms");
        }
    }
}

/// Set in the test that runs in a network of its own.
const IN_NETWORK: &str = "BENCH_TEST_NETWORK";
/// More than the control plane needs, and less than the load.
const N_PORTS: u16 = 12;

#[test]
fn a_client_without_ports_is_invalid_and_its_engine_not_blamed() {
    const NAME: &str = "a_client_without_ports_is_invalid_and_its_engine_not_blamed";
    if std::env::var_os(IN_NETWORK).is_some() {
        return run_out_of_ports();
    }
    let _turn = beside_others();
    let last = 40_000 + N_PORTS - 1;
    let network = |command: &str| {
        let prepare = format!(
            "ip link set lo up && echo 40000 {last} > /proc/sys/net/ipv4/ip_local_port_range && {command}"
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net", "sh", "-c", &prepare]);
        unshare.arg(std::env::current_exe().unwrap()).env(IN_NETWORK, "1");
        unshare.output()
    };
    match network("true") {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return undecided::note(&format!("skipped: no network of its own: {}", told(&output)));
        }
        Err(error) => {
            return undecided::note(&format!("skipped: no network of its own: unshare: {error}"));
        }
    }
    let output = network(&format!("exec \"$0\" --exact {NAME} --nocapture")).unwrap();
    print!("{}", told(&output));
    assert_code(&output, 0);
}

fn run_out_of_ports() {
    // One engine each: ports are counted by where they lead.
    let engine = Served::start(&["sim", "--ttft", "20ms", "--itl", "1ms"]);
    let behind = Served::start(&["sim", "--ttft", "20ms", "--itl", "1ms"]);
    let front = Front::before(behind.address, Certificate::SelfSigned);
    let plain = format!("http://{}", engine.address);
    let scenario = endpoint("plain", &plain, "model = \"sim\"")
        + &endpoint("secured", &front.url(), "model = \"sim\"\nca = \"engine.pem\"")
        + "[matrix]\nengine = [\"plain\", \"secured\"]\n"
        + &questions(
            "cycle = true\n[request]\nmax-tokens = 4\nignore-eos = true\n\
             [phase.load]\nconcurrency = 24\nrequests = 96",
        );
    let bed = Bed::new(&scenario);
    fs::write(bed.path("engine.pem"), &front.authority).unwrap();
    let output = bed.run().output().unwrap();
    println!("{}", told(&output));
    assert_code(&output, 103);
    for engine in ["plain", "secured"] {
        let cell = bed.cell(engine);
        let errors = cell["counts"]["errors"].as_object().unwrap();
        // The front opens connections, too, and what it lacks is the engine's failure.
        let is_alone = errors.len() == 1 || engine == "secured";
        assert!(errors.contains_key("client-resources") && is_alone, "{errors:?}");
        assert!(cell["counts"]["ok"].as_u64().unwrap() > 0, "{}", cell["counts"]);
        let why = cell["validity"].to_string();
        assert!(why.contains("Cannot assign requested address"), "{why}");
        assert!(why.contains("ip_local_port_range"), "{why}");
    }
}

/// Serves a proxy that opens tunnels to one server, whatever is asked for; returns its URL, and
/// the hosts that were.
fn serve_tunnels(server: SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() > 0 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            seen.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let server = TcpStream::connect(server).unwrap();
            let ways =
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
            for (mut from, mut to) in ways {
                std::thread::spawn(move || {
                    // Either side may close first.
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (url, asked)
}

#[test]
fn tls_goes_through_the_tunnel_of_a_proxy_for_probe_and_load() {
    let _turn = beside_others();
    let engine = Served::start(&["sim", "--ttft", "1ms", "--itl", "1ms"]);
    let front = Front::before(engine.address, Certificate::SelfSigned);
    let (proxy, asked) = serve_tunnels(front.address);
    let rest = questions(
        "limit = 4\n[request]\nmax-tokens = 4\n[phase.load]\nconcurrency = 2\nrequests = 4",
    );
    let more = format!("model = \"sim\"\nca = \"engine.pem\"\nproxy = \"{proxy}\"");
    let bed = Bed::new(&(endpoint("far", "https://engine.invalid", &more) + &rest));
    fs::write(bed.path("engine.pem"), &front.authority).unwrap();
    assert_code(&bed.run().args(["--fail-on", "failed"]).output().unwrap(), 0);
    assert_eq!(bed.cell("far")["counts"]["ok"], 4);
    let asked = asked.lock().unwrap();
    // The list of models, the probe, and two streams at least.
    assert!(asked.len() >= 4, "{asked:?}");
    assert!(asked.iter().all(|line| line == "CONNECT engine.invalid:443 HTTP/1.1"), "{asked:?}");
}
