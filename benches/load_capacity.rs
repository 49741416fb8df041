//! The load generator under a load of one's choice: what it costs and how late it is.
//!
//! `cargo bench --bench load_capacity -- --url http://127.0.0.1:8000 --streams 500 --requests 1000`
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program: measures time and prints what it measured"
)]

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bench::load::clock::Epoch;
use bench::load::spec::{Control, Limits, Live, PhaseLoad, Target, Transport, TrialSpec};
use bench::load::trial::run_trial;
use bench::plan::cell::{ArrivalsPlan, Deadlines, Phase};
use bench::record::request::{EventKind, Outcome, OutputRecord, RequestRecord, StampSource};
use bench::record::trial::PhaseKind;
use bench::secrets::redact::Redactor;
use bench::seed::Seed;
use bench::units::Nanos;
use bench::workload::arrivals::Arrivals;
use bench::workload::request::Request;
use bytes::Bytes;
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

#[derive(Parser)]
struct Args {
    /// Base URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: String,
    /// Streams at once, for a closed loop.
    #[arg(long, default_value_t = 64)]
    streams: u32,
    /// Poisson arrivals at this rate per second, instead of a closed loop.
    #[arg(long)]
    poisson: Option<f64>,
    /// Even arrivals at this rate per second, instead of a closed loop.
    #[arg(long)]
    rate: Option<f64>,
    /// Requests in all.
    #[arg(long, default_value_t = 1000)]
    requests: u64,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 128)]
    tokens: u32,
    /// Load threads.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// The server runs with `--stamps`: print what is added to its own stamps.
    #[arg(long)]
    truth: bool,
    /// Through the HTTP library instead of our own sockets.
    #[arg(long)]
    library: bool,
    /// Cargo passes it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is kept of the records: samples, in milliseconds.
#[derive(Default)]
struct Kept {
    n_ok: u64,
    n_tokens: u64,
    n_chunks: u64,
    n_kernel: u64,
    lag: Vec<f64>,
    ttft: Vec<f64>,
    gap: Vec<f64>,
    failures: BTreeMap<String, u64>,
}

impl Kept {
    fn take(&mut self, record: &RequestRecord) {
        self.n_kernel += u64::from(record.stamps == StampSource::Kernel);
        self.n_chunks += record.events.len() as u64;
        if record.outcome == Outcome::Ok {
            self.n_ok += 1;
        } else {
            *self.failures.entry(format!("{:?}", record.outcome)).or_default() += 1;
        }
        let Some(sent) = record.sent else { return };
        self.lag.push(millis(sent.saturating_sub(record.scheduled)));
        let mut last = None;
        for (at, kind) in record.events.iter() {
            if kind != EventKind::Content {
                continue;
            }
            self.n_tokens += 1;
            match last.replace(at) {
                None => self.ttft.push(millis(at.saturating_sub(sent))),
                Some(last) => self.gap.push(millis(at.saturating_sub(last))),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let arrivals = match (args.poisson, args.rate) {
        (Some(rate_per_s), _) => ArrivalsPlan::Poisson { rate_per_s },
        (None, Some(rate_per_s)) => ArrivalsPlan::Constant { rate_per_s },
        (None, None) => ArrivalsPlan::Closed { concurrency: args.streams },
    };
    let mut kept = Kept::default();
    let mut sink = |record: RequestRecord, _: Option<OutputRecord>| {
        kept.take(&record);
        Ok(())
    };
    let live = Live::default();
    let began = Instant::now();
    let cpu_before = cpu_s()?;
    let report = run_trial(trial(&args, arrivals)?, &mut sink, &Control::default(), &live)?;
    let (wall, cpu_whole) = (began.elapsed().as_secs_f64(), cpu_s()? - cpu_before);
    // Like the raw reader's: from the moment at which all connections are open.
    let cpu = report.sentinel.process_cpu.as_secs_f64();
    let phase = &report.phases[0];
    let took = phase.drained.saturating_sub(phase.started).as_secs_f64();
    let window = phase.stopped.saturating_sub(phase.started).as_secs_f64();
    let n_chunks = kept.n_chunks as f64;
    println!(
        "bench-load requests {} ok {} kernel_stamps {} tokens {} chunks {} bytes {} wall_s {wall:.3} \
         load_s {took:.3} cpu_s {cpu:.3} of {cpu_whole:.3} chunks_per_s {:.0} cpu_s_per_million_chunks {:.2}",
        phase.n_scheduled,
        kept.n_ok,
        kept.n_kernel,
        kept.n_tokens,
        kept.n_chunks,
        live.bytes.load(Ordering::Relaxed),
        n_chunks / took,
        cpu / n_chunks * 1e6,
    );
    println!(
        "  load_thread_cpu_s {:.3} sent_per_s {:.1} stalls {} rss_max_mib {:.1} cores {:.2}",
        report.sentinel.load_cpu.as_secs_f64(),
        phase.n_scheduled as f64 / window,
        report.sentinel.recorder_stalls,
        report.sentinel.rss_max as f64 / 1_048_576.0,
        report.sentinel.process_cpu.as_secs_f64() / report.sentinel.wall.as_secs_f64(),
    );
    let mut wake: Vec<_> = report.sentinel.wake_lag.iter().map(|lag| millis(*lag)).collect();
    print_line("send_lag_ms", &mut kept.lag);
    print_line("ttft_ms", &mut kept.ttft);
    print_line("gap_ms", &mut kept.gap);
    print_line("wake_lag_ms", &mut wake);
    let mut added: Vec<_> = report.sentinel.added_ns.iter().map(|ns| *ns as f64 / 1e6).collect();
    print_line("added_ms", &mut added);
    for (failure, n) in &kept.failures {
        println!("  {n} × {failure}");
    }
    Ok(())
}

fn trial(args: &Args, arrivals: ArrivalsPlan) -> Result<TrialSpec, Box<dyn std::error::Error>> {
    let body = Bytes::from(format!(
        "{{\"model\":\"sim\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}],\
         \"stream\":true,\"max_tokens\":{},\"ignore_eos\":true}}",
        args.tokens
    ));
    let plan = Phase {
        name: "main".to_owned(),
        kind: PhaseKind::Measure,
        arrivals,
        max_in_flight: None,
        n_requests: Some(args.requests),
        duration: None,
        drain: Nanos::from_secs(60),
        deadlines: Deadlines {
            connect: Nanos::from_secs(10),
            first_token: Nanos::from_secs(60),
            between_tokens: Nanos::from_secs(60),
            total: Nanos::from_secs(600),
        },
        cancel_after: None,
        until_steady: None,
        until: None,
        over_saturation: None,
    };
    let arrivals = Arrivals::new(&plan.arrivals, plan.n_requests, None, Seed(1), &[])?;
    let max_tokens = Some(args.tokens);
    let requests = (0..).map(move |index| Request {
        phase: 0,
        index,
        turn: 0,
        sample: index,
        body: body.clone(),
        max_tokens,
        next_turns: Vec::new(),
    });
    Ok(TrialSpec {
        epoch: Epoch::now(),
        target: Target {
            base_url: args.url.clone(),
            path: "/v1/chat/completions".to_owned(),
            headers: Vec::new(),
            proxy: None,
            stream: true,
            no_done: false,
            no_reuse: false,
            tls: None,
            transport: if args.library { Transport::Library } else { Transport::Direct },
        },
        phases: vec![PhaseLoad { plan, arrivals, requests: Box::new(requests) }],
        n_threads: Some(args.threads),
        keep_outputs: false,
        token_counter: None,
        next_turn: None,
        is_steady: None,
        reads_truth: args.truth,
        limits: Limits::default(),
        redactor: Redactor::default(),
    })
}

fn millis(nanos: Nanos) -> f64 {
    nanos.as_millis_f64()
}

fn print_line(name: &str, samples: &mut [f64]) {
    samples.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    if !samples.is_empty() {
        println!(
            "  {name} n {} p50 {:.3} p90 {:.3} p99 {:.3} p99.9 {:.3} max {:.3}",
            samples.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
}

fn cpu_s() -> std::io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}
