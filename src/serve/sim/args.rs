//! The command line of `bench serve sim`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::latency::{Distribution, LatencyModel};
use super::stall::Stalls;
use crate::serve::parse_duration;
use crate::units::Nanos;

/// Serves a simulated engine whose latencies are known.
///
/// It answers completions and chats with filler words at the times that its latency model
/// gives, so that what a client reports can be held against the truth. It also misbehaves on
/// request, in the ways that real engines do.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  bench serve sim --port 8000 --ttft 50ms --itl 10ms --slots 64
  bench serve sim --port 0 --ttft lognormal:50ms,0.3 --stall-every 10s --stall-for 1s
  bench serve sim --port 8000 --answer-from questions.jsonl --wrong-rate 0.1
  bench serve sim --port 8000 --exit-after 5s --exit-code 0 --setsid-worker --hold-port")]
pub(crate) struct SimArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// Port to listen on; 0 for any free one. The port in use is printed.
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Model id that is served.
    #[arg(long, default_value = "sim")]
    pub model_id: String,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write one JSON line per request to this file: when it arrived, and what was sent when.
    #[arg(long, value_name = "FILE")]
    pub truth_log: Option<PathBuf>,
    /// Speak TLS, with the chain of certificates and the key that this PEM file holds.
    #[arg(long, value_name = "FILE")]
    pub tls: Option<PathBuf>,
    /// Latencies and answers.
    #[command(flatten)]
    pub timing: TimingArgs,
    /// What is answered.
    #[command(flatten)]
    pub answers: AnswerArgs,
    /// Faults of responses.
    #[command(flatten)]
    pub faults: ResponseFaultArgs,
    /// Faults of the process.
    #[command(flatten)]
    pub process: ProcessFaultArgs,
}

/// When things happen.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Timing")]
pub(crate) struct TimingArgs {
    /// Time to first token: `50ms`, `uniform:40ms..60ms` or `lognormal:50ms,0.3` (median, sigma).
    #[arg(long, default_value = "50ms", value_name = "TIME")]
    pub ttft: Distribution,
    /// Time between tokens, in the same forms.
    #[arg(long, default_value = "10ms", value_name = "TIME")]
    pub itl: Distribution,
    /// Prefill time per prompt token, added to the time to first token.
    #[arg(long, default_value = "0", value_parser = parse_duration::parse, value_name = "TIME")]
    pub prefill_per_token: Nanos,
    /// Requests served at once; further ones wait.
    #[arg(long, value_name = "N")]
    pub slots: Option<usize>,
    /// Requests that may wait; further ones are answered 503.
    #[arg(long, value_name = "N", requires = "slots")]
    pub queue_limit: Option<usize>,
    /// Length of a period at whose end the whole engine stands still.
    #[arg(long, value_parser = parse_duration::parse, value_name = "TIME", requires = "stall_for")]
    pub stall_every: Option<Nanos>,
    /// How long it stands still.
    #[arg(long, value_parser = parse_duration::parse, value_name = "TIME", requires = "stall_every")]
    pub stall_for: Option<Nanos>,
    /// Spin for this long before an event is due, for the last microseconds of precision.
    #[arg(long, default_value = "0", value_parser = parse_duration::parse, value_name = "TIME")]
    pub spin: Nanos,
    /// Size of the pretended key-value cache in tokens, for `/metrics`.
    #[arg(long, default_value_t = 65_536, value_name = "N")]
    pub kv_tokens: u64,
    /// Remember prompts, so that a repeated one needs no prefill.
    #[arg(long)]
    pub prefix_cache: bool,
}

impl TimingArgs {
    /// Returns the latency model.
    pub(crate) fn latency_model(&self) -> LatencyModel {
        LatencyModel { ttft: self.ttft, itl: self.itl, prefill_per_token: self.prefill_per_token }
    }

    /// Returns the stalls, if there are any.
    pub(crate) fn stalls(&self) -> Option<Stalls> {
        let stalls = Stalls { every: self.stall_every?, length: self.stall_for? };
        (stalls.length > Nanos::ZERO && stalls.length < stalls.every).then_some(stalls)
    }
}

/// What is answered.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Answers")]
pub(crate) struct AnswerArgs {
    /// Tokens of every answer, whatever the request asks for.
    #[arg(long, value_name = "N")]
    pub tokens: Option<u32>,
    /// Tokens of an answer whose request sets no limit.
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub default_tokens: u32,
    /// Answer the questions of this file (JSON lines with `question` and `answer`) with their answers.
    #[arg(long, value_name = "FILE")]
    pub answer_from: Option<PathBuf>,
    /// Share of the file's answers whose last number is made wrong.
    #[arg(long, default_value_t = 0.0, value_name = "P", value_parser = share)]
    pub wrong_rate: f64,
    /// Put the time just before its write into every event: `sent_realtime_ns`, `sent_monotonic_ns`.
    #[arg(long)]
    pub stamps: bool,
}

/// Faults of responses. Positions count token events of one answer, from 0.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Faults of responses")]
pub(crate) struct ResponseFaultArgs {
    /// Share of generation requests that are answered with an error status.
    #[arg(long, value_name = "P", value_parser = share)]
    pub fail_rate: Option<f64>,
    /// The error status; alone, every request gets it.
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(300..600))]
    pub status: Option<u16>,
    /// `Retry-After` of error responses, in seconds.
    #[arg(long, value_name = "SECS")]
    pub retry_after: Option<u64>,
    /// Stop sending before this event, and keep the connection open.
    #[arg(long, value_name = "K")]
    pub stall_at: Option<u32>,
    /// Reset the connection before this event.
    #[arg(long, value_name = "K")]
    pub rst_at: Option<u32>,
    /// Close the connection before this event, in the middle of the body.
    #[arg(long, value_name = "K")]
    pub fin_at: Option<u32>,
    /// End streams without `[DONE]`.
    #[arg(long)]
    pub no_done: bool,
    /// End streams with two `[DONE]`.
    #[arg(long, conflicts_with = "no_done")]
    pub dup_done: bool,
    /// Send an error event instead of this event, and end the stream.
    #[arg(long, value_name = "K")]
    pub error_event_at: Option<u32>,
    /// Answer 200 with an empty stream.
    #[arg(long)]
    pub empty_200: bool,
    /// Answer 200 with a JSON error.
    #[arg(long)]
    pub json_error_200: bool,
    /// Write responses in pieces of this many bytes.
    #[arg(long, value_name = "N")]
    pub split_bytes: Option<usize>,
    /// End the lines of events with CR LF.
    #[arg(long)]
    pub crlf: bool,
    /// Begin streams with a byte order mark.
    #[arg(long)]
    pub bom: bool,
    /// Send a comment this often while a stream is open.
    #[arg(long, value_parser = parse_duration::parse, value_name = "TIME")]
    pub heartbeat: Option<Nanos>,
    /// Send responses at this many bytes per second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub drip: Option<u32>,
    /// Tokens per event.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub multi_token_chunk: u32,
    /// Put the ids of its tokens into every event.
    #[arg(long)]
    pub token_ids: bool,
    /// Hold all events back until the last one is due, as a proxy that buffers does.
    #[arg(long)]
    pub late_burst: bool,
    /// The first tokens of a chat answer are reasoning.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub reasoning_first: u32,
    /// When token counts are sent.
    #[arg(long, value_enum, default_value_t = UsageMode::Asked)]
    pub usage: UsageMode,
    /// Never end an answer.
    #[arg(long)]
    pub endless: bool,
    /// Send a line of this size after the first token.
    #[arg(long, value_name = "MB")]
    pub huge_line: Option<u32>,
    /// Send an event that is no JSON after the first token.
    #[arg(long)]
    pub bad_json: bool,
    /// Send an event that is no UTF-8 after the first token.
    #[arg(long)]
    pub bad_utf8: bool,
    /// Close idle connections after this time.
    #[arg(long, value_parser = parse_duration::parse, value_name = "TIME")]
    pub close_idle: Option<Nanos>,
    /// Send response headers of this size.
    #[arg(long, value_name = "N")]
    pub headers_mb: Option<u32>,
}

/// When token counts are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageMode {
    /// When the request asks for them.
    #[default]
    Asked,
    /// Never.
    None,
    /// Always, in the last chunk.
    Last,
    /// When asked for, and wrong.
    Lie,
}

/// Faults of the process.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Faults of the process")]
pub(crate) struct ProcessFaultArgs {
    /// Open the port only after this time.
    #[arg(long, value_parser = parse_duration::parse, value_name = "TIME")]
    pub listen_delay: Option<Nanos>,
    /// Be healthy only after this time; `never` for never.
    #[arg(long, value_parser = duration_or_never, value_name = "TIME")]
    pub ready_after: Option<Nanos>,
    /// Exit after this time.
    #[arg(long, value_parser = parse_duration::parse, value_name = "TIME")]
    pub exit_after: Option<Nanos>,
    /// Exit status of `--exit-after` and `--die-at-request`.
    #[arg(long, default_value_t = 0, value_name = "CODE")]
    pub exit_code: i32,
    /// Die of a segmentation fault, at once or after `--exit-after`.
    #[arg(long)]
    pub segv: bool,
    /// Exit when this many generation requests have arrived.
    #[arg(long, value_name = "N")]
    pub die_at_request: Option<u64>,
    /// Time that dying at a request takes from the end of the sockets to the end of the process,
    /// as where memory of a GPU is given back.
    #[arg(long, value_parser = parse_duration::parse, default_value = "0s", value_name = "TIME")]
    pub dying_takes: Nanos,
    /// Do not end on SIGTERM and SIGINT.
    #[arg(long)]
    pub ignore_term: bool,
    /// Start child processes in the same process group.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub fork_workers: u32,
    /// Start a child in a session of its own that ignores SIGTERM, has another name and an empty environment.
    #[arg(long)]
    pub setsid_worker: bool,
    /// Children start a new one when one of them is killed, up to 20 times.
    #[arg(long)]
    pub respawn_on_kill: bool,
    /// Overwrite name, arguments and environment with this title, as setproctitle does.
    #[arg(long, value_name = "TITLE")]
    pub proctitle: Option<String>,
    /// Children keep the listening socket.
    #[arg(long)]
    pub hold_port: bool,
    /// Leave the serving to a child and exit 0.
    #[arg(long)]
    pub daemonise: bool,
    /// What the health URL says.
    #[arg(long, value_enum, default_value_t = HealthMode::Ok)]
    pub health: HealthMode,
    /// Write this many MB of log per second.
    #[arg(long, value_name = "MB")]
    pub log_flood: Option<u32>,
    /// Write ANSI escape sequences to the log.
    #[arg(long)]
    pub log_ansi: bool,
    /// Write invalid UTF-8 to the log.
    #[arg(long)]
    pub log_invalid_utf8: bool,
    /// Children end themselves after this time, lest a broken test leave them for ever.
    #[arg(long, value_parser = parse_duration::parse, default_value = "10min", value_name = "TIME")]
    pub worker_life: Nanos,
    /// Set in children: which kind of child this is.
    #[arg(long, value_enum, hide = true)]
    pub role: Option<Role>,
    /// Set in children: how often they may still be replaced.
    #[arg(long, hide = true, default_value_t = 20)]
    pub respawns_left: u32,
}

/// What the health URL says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HealthMode {
    /// The truth.
    #[default]
    Ok,
    /// 200, ready or not.
    Lie,
    /// 200 and 503 in turns.
    Flap,
    /// 503.
    #[value(name = "503")]
    Unavailable,
    /// The truth, five seconds late.
    Slow,
}

/// Which kind of child a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// In the same process group, with default signals.
    Worker,
    /// In its own session, ignoring signals.
    SetsidWorker,
    /// Serves in place of a parent that has exited.
    Server,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a share between 0 and 1")),
    }
}

fn duration_or_never(text: &str) -> Result<Nanos, String> {
    match text {
        "never" | "inf" => Ok(Nanos(u64::MAX)),
        _ => parse_duration::parse(text),
    }
}
