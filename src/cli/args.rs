//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::scenario::spec::{CompareHow, Think, Undecided};
use crate::serve::{sim::SimArgs, tiny::TinyArgs};

/// Measures language-model inference: scenario in, one table that can be trusted out.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:\n  \
        bench run scenarios/tinyllama_fp16_vs_fp32.toml     measure, and print the table\n  \
        bench plan scenarios/vllm_vs_sglang.toml            what would be run, to the last argument\n  \
        bench report runs/tinyllama_fp16_vs_fp32-…          the same report again, from the records\n\n\
        Pages: `bench help`. A key, value, metric, caveat, state, failure or exit code: `bench explain WORD`.\n\n\
        Exit codes: 0 all well, 2 usage, 65 bad data, 66 input missing, 69 unavailable, 70 defect,\n  \
        71 system limit, 73 cannot create, 74 I/O, 75 try again, 77 permissions, 78 scenario invalid,\n  \
        100 a cell failed, 102 no engine started, 103 a cell is invalid, 104 a gate failed,\n  \
        106 something was left behind, 107 run directory corrupt or inputs changed,\n  \
        128+n ended by signal n.",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colour; `NO_COLOR` is respected.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the engines of a scenario, measure, and report
    Run(RunArgs),
    /// Measure a running server, or an engine by its name: one command, no file
    Quick(QuickArgs),
    /// Go on with a run that was interrupted; its directory is all that is needed
    Resume(ResumeArgs),
    /// Show how far a run is: its cells, who measures them, the time left; of Slurm's tasks the states
    Status(StatusArgs),
    /// Show every cell with its exact command, requests and skip reasons; starts nothing
    Plan(PlanArgs),
    /// Find all mistakes of scenarios at once
    Check(CheckArgs),
    /// Make the report of a run again, from its records alone
    Report(ReportArgs),
    /// Save runs by name, to hold later ones against them with --baseline
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Compare runs, or the alternatives of one run: which is better, by how much, does it hold
    Compare(CompareArgs),
    /// Recommend a cell of a run: what meets the objectives and gates, at what price
    Decide(DecideArgs),
    /// Metrics over many runs, and the run with which one changed for good
    History(HistoryArgs),
    /// Write a run for other programs: Parquet, JSON lines, Prometheus, llm-d, LaTeX
    Export(ExportArgs),
    /// Old results in the capacity table: an output tree of the lineup's programs, logs of servers
    Import(ImportArgs),
    /// Pack a run into one archive: scenario, records, versions and hashes of what it was measured with
    Bundle(BundleArgs),
    /// Measure a bundle again, here, and compare; what is not the same here is named first
    Replay(ReplayArgs),
    /// Grade the stored answers of a run again, with other extractors
    Score(ScoreArgs),
    /// Recompute every figure of a run from its records and check their integrity
    Verify(VerifyArgs),
    /// Measure what bench itself adds on this machine; later reports say it
    Calibrate(CalibrateArgs),
    /// Look at this machine: GPUs, engines, limits, orphans of killed runs
    Doctor(DoctorArgs),
    /// List, fetch and check data sets, and say where they lie
    #[command(subcommand)]
    Data(DataCommand),
    /// List the engines that can be named, or print one's preset
    Presets(PresetsArgs),
    /// Serve a built-in engine behind an OpenAI-compatible port
    #[command(subcommand)]
    Serve(Box<ServeCommand>),
    /// Make a commented scenario or preset to grow from
    Init(InitArgs),
    /// Say what a key, value, metric, caveat, state, failure or exit code means
    Explain(ExplainArgs),
    /// Print a page on a topic, or the help of a command
    Help(HelpArgs),
    /// Print the JSON Schema of scenarios, for editors, or of `summary.json`; or a Python reader
    Schema {
        /// What the schema is of.
        #[arg(value_enum, default_value_t = SchemaOf::Scenario)]
        of: SchemaOf,
    },
    /// Print a shell's completion script
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// A scenario, and changes to it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ScenarioArgs {
    /// Scenario file; `-` reads standard input.
    #[arg(value_name = "SCENARIO.toml")]
    pub(crate) scenario: PathBuf,
    /// Profile of the scenario that is laid over it.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Override one key; can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Only cells that match all conditions, such as 'engine=tiny,precision=fp16'; values of one key
    /// are alternatives.
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub(crate) only: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench run scenarios/tinyllama_fp16_vs_fp32.toml\n  \
    bench run scenarios/open_loop.toml --set phase.load.rate=20 --out /tmp/rate-20\n  \
    bench run scenarios/vllm_vs_sglang.toml --only engine=vllm --strict\n  \
    bench run --resume runs/vllm_vs_sglang-20261122T101500Z scenarios/vllm_vs_sglang.toml\n  \
    bench run wider_sweep.toml --reuse runs/sweep-20261122T101500Z\n  \
    bench run sweep.toml --slurm --out /shared/sweep --slurm-set partition=gpu --dry-run\n\n\
    Ctrl-C stops cleanly and keeps what was measured; a second one stops at once. `bench resume`\n\
    goes on as the run was begun; `--resume` takes what changed in the scenario as well.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// Run directory; made if absent. Without it: runs/NAME-TIME.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with a run under this scenario: cells that it does not change are kept, others are
    /// measured anew; scores, objectives, trials and the report follow it.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub(crate) resume: Option<PathBuf>,
    /// With --resume or --slurm: measure cells again that failed, or whose numbers are INVALID;
    /// three times at most.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub(crate) retry: Vec<Retry>,
    /// Take the cells that this finished run has measured and that are the same: in all that the
    /// scenario says of them, in machine, engine, model files and data. What differs is told, and
    /// measured. With --slurm the machine and the engine are those of nodes, and what differs there
    /// is a caveat.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) reuse: Option<PathBuf>,
    /// Print the plan, with --slurm the scripts, and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Measure in Slurm tasks, one for each start of an engine, as `[slurm]` says. The same command
    /// again submits what is missing and nothing else.
    #[arg(long, conflicts_with = "tui")]
    pub(crate) slurm: bool,
    /// Override one key of `[slurm]`, such as partition=gpu; can be given several times.
    #[arg(long = "slurm-set", value_name = "KEY=VALUE", requires = "slurm")]
    pub(crate) slurm_sets: Vec<String>,
    #[command(flatten)]
    pub(crate) ends: EndArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench quick http://localhost:8000\n  \
    bench quick http://localhost:8000 --concurrency 1,4,16 --input 1024 --output 256\n  \
    bench quick https://llm.example.com --model org/name --api-key-env LLM_API_KEY --rate 1,2,4\n  \
    bench quick vllm Qwen/Qwen3-4B --precision bf16,fp8\n  \
    bench quick localhost:8000 --dry-run > mine.toml\n\n\
    What is run is an ordinary scenario; it lies in the run directory as scenario.toml and can be\n\
    changed and run again.")]
pub(crate) struct QuickArgs {
    /// URL of a running OpenAI-compatible server, or the name of an engine to start.
    #[arg(value_name = "URL or ENGINE")]
    pub(crate) target: String,
    /// Model that the engine is started with: a hub repository, or a path.
    #[arg(value_name = "MODEL")]
    pub(crate) model_of_engine: Option<String>,
    /// Model to ask a running server for, when it serves several or lists none.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Requests at once, a row of the table each; 1,8,32 when neither this nor --rate is given.
    #[arg(long, short, value_name = "N,…", value_delimiter = ',', conflicts_with = "rate",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) concurrency: Vec<u32>,
    /// Requests per second instead, a row each: an open loop with Poisson arrivals.
    #[arg(long, short, value_name = "PER_S,…", value_delimiter = ',', value_parser = above_zero)]
    pub(crate) rate: Vec<f64>,
    /// Seconds measured in each row, after a warm-up.
    #[arg(long, short, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Length of the prompts in tokens, where they are generated.
    #[arg(long, short, value_name = "TOKENS", default_value_t = 512, conflicts_with = "data",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) input: u32,
    /// Length of the answers in tokens: 128, or at most 256 with --data.
    #[arg(long, short, value_name = "TOKENS",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) output: Option<u32>,
    /// What is asked instead of generated text: a name of `bench data list` such as gsm8k, or a
    /// .jsonl, .csv, .parquet or .txt file.
    #[arg(long, short, value_name = "FILE or NAME")]
    pub(crate) data: Option<String>,
    /// Tokenizer by which generated prompts are cut: a directory with tokenizer.json, or a hub
    /// repository.
    #[arg(long, value_name = "DIR or REPO")]
    pub(crate) tokenizer: Option<String>,
    /// Precisions that an engine is started in, a row each.
    #[arg(long, short, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) precision: Vec<String>,
    /// Variable that holds the API key of a running server.
    #[arg(long, value_name = "NAME")]
    pub(crate) api_key_env: Option<String>,
    /// Set one more key of the scenario; can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Run directory; made if absent. Without it: runs/quick-TIME.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the scenario and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) ends: EndArgs,
}

/// Reads a number above 0.
fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| "a number above 0 is needed, such as 2.5".to_owned())
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench resume runs/vllm_vs_sglang-20261122T101500Z\n  \
    bench resume runs/vllm_vs_sglang-20261122T101500Z --retry failed,invalid\n\n\
    The stored plan is carried out, with what `--set`, `--profile` and `--only` made of it.")]
pub(crate) struct ResumeArgs {
    /// Run directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Measure cells again that failed, or whose numbers are INVALID; three times at most.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    pub(crate) retry: Vec<Retry>,
    /// Process that started this one, to be killed with it.
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) with_parent: Option<i32>,
    #[command(flatten)]
    pub(crate) ends: EndArgs,
}

/// Cells that are measured again on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Retry {
    /// Their engine failed, or too many of their requests did.
    Failed,
    /// Their numbers cannot be believed.
    Invalid,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench status runs/chat-20261122T101500Z\n  \
    bench status /shared/sweep --watch")]
pub(crate) struct StatusArgs {
    /// Run directory, of whatever began it.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Look again until nothing waits or runs; lines that changed are printed.
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Seconds between two looks of --watch.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) every: u64,
}

/// How a run talks, and what its exit code tells.
#[derive(Args, Debug)]
pub(crate) struct EndArgs {
    /// Treat skipped cells as failures.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Which bad ends make the exit code other than 0.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS",
          default_values_t = [FailOn::Failed, FailOn::Invalid, FailOn::Gate])]
    pub(crate) fail_on: Vec<FailOn>,
    #[command(flatten)]
    pub(crate) gates: GateArgs,
    /// No progress on standard error.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// How progress is told on standard error.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressAs::Auto)]
    pub(crate) progress: ProgressAs,
    /// Show the run on a screen of its own while it goes on: cells, live curves of throughput and
    /// latency, GPUs, the engine's log, caveats. Press q to end it as Ctrl-C does.
    #[arg(long, conflicts_with_all = ["quiet", "progress"])]
    pub(crate) tui: bool,
}

impl EndArgs {
    /// Returns how progress is told; not at all to who wants quiet.
    pub(crate) fn told_as(&self) -> Option<ProgressAs> {
        let progress = if self.tui { ProgressAs::Screen } else { self.progress };
        (!self.quiet).then_some(progress)
    }
}

/// How progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressAs {
    /// A line that is drawn anew on a terminal, else plain lines.
    Auto,
    /// Plain lines.
    Plain,
    /// JSON lines: `{"event": …}` as in events.jsonl, `{"running": …}` and `{"waiting": …}` each
    /// second.
    Json,
    /// A screen of its own, with `--tui`.
    #[value(skip)]
    Screen,
}

/// What is required of the numbers beside `[gate]`.
#[derive(Args, Debug, Default)]
pub(crate) struct GateArgs {
    /// Condition that must hold in no cell: 'ttft.p99 > 500ms', 'tpot.p50 > +5%' (of the
    /// baseline); can be given several times. Exit 104 when one holds.
    #[arg(long, value_name = "CONDITION", value_parser = crate::cli::gate_flags::readable)]
    pub(crate) fail_if: Vec<String>,
    /// What a gate is taken for whose limit lies within the number's interval.
    #[arg(long, value_enum, value_name = "AS")]
    pub(crate) undecided: Option<UndecidedAs>,
    /// Run that relative gates are held against: a run directory, a summary.json, `latest`
    /// (the newest finished run of this scenario below runs/) or a name saved by `bench baseline`.
    #[arg(long, value_name = "RUN")]
    pub(crate) baseline: Option<String>,
}

/// What a gate that the numbers do not decide is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UndecidedAs {
    /// Missed (104).
    Fail,
    /// Passed.
    Pass,
}

impl From<UndecidedAs> for Undecided {
    fn from(taken_as: UndecidedAs) -> Self {
        match taken_as {
            UndecidedAs::Fail => Self::Fail,
            UndecidedAs::Pass => Self::Pass,
        }
    }
}

/// Bad ends of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A cell failed (100, or 102 when no engine started).
    Failed,
    /// A cell's numbers cannot be believed (103).
    Invalid,
    /// A gate was missed (104).
    Gate,
    /// A cell was skipped (100); the same as --strict.
    Skipped,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bench calibrate --out /tmp/calibration\n\n\
    Runs scenarios/calibrate.toml: one stream to 1,024, paced and as fast as possible, and open\n\
    loops of 100 and 1,000 requests per second, about five seconds each, against the simulated\n\
    engine. Leave the machine alone meanwhile: rows that others disturbed are INVALID.")]
pub(crate) struct CalibrateArgs {
    /// Run directory; made if absent. Without it: runs/calibrate-TIME.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seconds for each load.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// No progress on standard error.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bench plan scenarios/cpu_engines.toml --only precision=fp32")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
    /// Print the scenario after all layers instead.
    #[arg(long)]
    pub(crate) resolved: bool,
    /// Print the plan as JSON.
    #[arg(long, conflicts_with = "resolved")]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bench check scenarios/*.toml")]
pub(crate) struct CheckArgs {
    /// Scenario files; `-` reads standard input.
    #[arg(required = true, value_name = "SCENARIO.toml")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// Profile that is laid over each.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Override one key; can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench report runs/open_loop-20261122T101500Z\n  \
    bench report DIR --template my.md.j2 > table.md")]
pub(crate) struct ReportArgs {
    /// Run directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// What goes to standard output. The files in the run directory are written again in any case.
    #[arg(long, value_enum, default_value_t = ReportFormat::Terminal)]
    pub(crate) format: ReportFormat,
    /// Own minijinja template: what it makes goes to standard output, and no file is changed by it.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub(crate) template: Option<PathBuf>,
    /// Print what templates can use as JSON: each variable with its meaning, and its value here.
    #[arg(long, conflicts_with_all = ["template", "format"])]
    pub(crate) print_view: bool,
    /// Write every figure as a file of its own into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) figures: Option<PathBuf>,
    /// Format of these files.
    #[arg(long, value_enum, default_value_t = FigureFormat::Svg, requires = "figures")]
    pub(crate) figure_format: FigureFormat,
    /// Write the files that the source of the scenario's published table writes, in its own names
    /// and columns: result trees, CSV, the JSON of `vllm bench serve --save-result`.
    #[arg(long, value_name = "DIR")]
    pub(crate) as_published: Option<PathBuf>,
    /// Markdown with everything there is; by default it has what a person looks at first.
    #[arg(long)]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) gates: GateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Write the summary of a finished run to baselines/NAME.json
    Save {
        /// Name of the baseline.
        name: String,
        /// Run directory.
        dir: PathBuf,
    },
    /// Print the names of the saved ones
    List,
}

/// Formats of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FigureFormat {
    /// Vector graphics, which follow the reader's light or dark colours where they can.
    Svg,
    /// Images on white.
    Png,
}

/// Faces of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A table for this terminal.
    Terminal,
    /// Markdown.
    Markdown,
    /// One HTML file.
    Html,
    /// The summary as JSON.
    Json,
    /// One line per cell.
    Csv,
    /// One line per cell, metric and statistic, with run, date, model, data set, unit and n.
    CsvLong,
    /// The gates as `JUnit` XML.
    Junit,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench compare runs/before runs/after\n  \
    bench compare runs/vllm_vs_sglang-20261122T101500Z --by engine\n  \
    bench compare runs/chat vllm.json aiperf/profile_export_aiperf.json\n  \
    bench compare main feature --format markdown >> $GITHUB_STEP_SUMMARY\n\n\
    The sample is the trial: with one on a side there is a ratio and no verdict, and five of each,\n\
    interleaved (`order = \"interleaved\"`), tell 15 % apart. Cells are matched by their load and by\n\
    every key that either side sweeps; loads are never compared with each other. Figures are those\n\
    of summary.json, as `bench report` wrote them.")]
pub(crate) struct CompareArgs {
    /// Run directories, or result files (or folders of them) of vllm bench serve, SGLang's
    /// client, GuideLLM, AIPerf, llama-bench and lm-evaluation-harness; the baseline first. Or
    /// one run, whose alternatives are compared.
    #[arg(required = true, value_name = "DIR or FILE")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Key of one run whose values are compared, the first one being the baseline. Without it:
    /// engine where several are swept, else the only key that is no load.
    #[arg(long, value_name = "KEY")]
    pub(crate) by: Option<String>,
    /// Chance of error that all verdicts share. Without it: the scenario's, else 0.01.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) alpha: Option<f64>,
    /// Share within which figures are equivalent. Without it: the scenario's, else 0.02.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) margin: Option<f64>,
    /// Compare every quantity, not only the main ones, and leave nothing out of Markdown. More
    /// quantities share the chance of error, so each interval is wider.
    #[arg(long)]
    pub(crate) all: bool,
    /// Condition relative to the baseline that must hold in no cell: 'tpot.p50 > +5%',
    /// 'e2e.p99 > 1.1 x baseline'; can be given several times. Exit 104 when one holds.
    #[arg(long, value_name = "CONDITION", value_parser = crate::cli::gate_flags::relative)]
    pub(crate) fail_if: Vec<String>,
    /// What a gate is taken for whose limit lies within the interval of the change.
    #[arg(long, value_enum, value_name = "AS", default_value_t = UndecidedAs::Pass)]
    pub(crate) undecided: UndecidedAs,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value_t = CompareFormat::Terminal)]
    pub(crate) format: CompareFormat,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench history runs\n  \
    bench history nightly/2026-11-* --all --format json\n  \
    bench history runs --figures history\n\n\
    Runs are sorted by when they began, and cells are found by their names, so runs of one scenario\n\
    belong together. A step is named by its run, and by the engine version and the commit of the\n\
    checkout where these changed with it.")]
pub(crate) struct HistoryArgs {
    /// Run directories, or folders of them.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Every quantity, not only the main ones. More quantities share the chance of error.
    #[arg(long)]
    pub(crate) all: bool,
    /// Chance that any step is shown that is not there. Without it: the newest scenario's, else
    /// 0.01.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) alpha: Option<f64>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value_t = HistoryFormat::Terminal)]
    pub(crate) format: HistoryFormat,
    /// Write a figure of each quantity over the runs into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) figures: Option<PathBuf>,
    /// Format of these files.
    #[arg(long, value_enum, default_value_t = FigureFormat::Svg, requires = "figures")]
    pub(crate) figure_format: FigureFormat,
}

/// Documents whose schema is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Scenario files.
    Scenario,
    /// The numbers of a run, as `summary.json` holds them.
    Summary,
    /// The same as types of Python, with functions that read a run directory into data frames.
    Python,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench decide runs/chat-20261122T101500Z\n  \
    bench decide runs/chat-20261122T101500Z --rate 200      GPUs for 200 requests a second\n\n\
    What is required is what the scenario says: as many requests of a cell must meet `[slo]` as a gate\n\
    on `goodput` asks for, else 99 %, and no gate of `[gate]` may be missed; of the rest the cell with\n\
    the cheapest tokens is recommended, by `[cost]`, else the one with the highest output of a GPU.\n\
    Data sets, lengths and phases are no choice: each has a decision of its own. A margin is judged\n\
    as `bench compare` judges.")]
pub(crate) struct DecideArgs {
    /// Run directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Requests per second for which machines are counted.
    #[arg(long, value_name = "PER_S", value_parser = above_zero)]
    pub(crate) rate: Option<f64>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value_t = DecideFormat::Terminal)]
    pub(crate) format: DecideFormat,
}

/// Faces of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecideFormat {
    /// A table for this terminal.
    Terminal,
    /// Markdown.
    Markdown,
    /// The decision as JSON.
    Json,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench export runs/chat --format parquet --out requests.parquet\n  \
    bench export runs/chat --format prometheus > /var/lib/node_exporter/bench.prom\n  \
    bench export runs/chat --format latex --out table.tex\n  \
    bench export runs/lineup --tree results")]
pub(crate) struct ExportArgs {
    /// Run directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// What is written.
    #[arg(long, value_enum, required_unless_present = "tree")]
    pub(crate) format: Option<ExportFormat>,
    /// Write the output tree of the lineup's programs into this folder instead,
    /// `MODEL/tpT-ppP-dpD/SPEC/CELL/…`; `bench import` reads it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "out"])]
    pub(crate) tree: Option<PathBuf>,
    /// File to write; without it, standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench import results/\n  \
    bench import results/ --gpu-hour 2.5 --out table\n  \
    bench import vllm-tp4.log --gpus 4\n\n\
    Both rates are of one window, and all GPUs are counted, data parallel ones too; the programs that\n\
    wrote such trees take their two rates from different seconds and leave those out.")]
pub(crate) struct ImportArgs {
    /// Trees `MODEL/tpT-ppP-dpD/SPEC/…`, or logs of vLLM or SGLang.
    #[arg(required = true, value_name = "TREE or LOG")]
    pub(crate) paths: Vec<PathBuf>,
    /// Folder that gets the table as the lineup's programs write it, `benchmarking_results.csv`.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Price of a GPU for an hour.
    #[arg(long, value_name = "PRICE", value_parser = above_zero)]
    pub(crate) gpu_hour: Option<f64>,
    /// GPUs of a server whose log is named and whose folders do not say it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) gpus: Option<u32>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench bundle runs/chat-20261122T101500Z\n  \
    bench bundle runs/chat-20261122T101500Z --with-data --out chat.bench.tar.zst\n\n\
    In it: the scenario as written and resolved, plan, records, summary and report; versions, argv,\n\
    recorded environment and hashes of engines, their Python packages, model files and data; driver,\n\
    GPUs and kernel. Model files are not in it, nor is any key.")]
pub(crate) struct BundleArgs {
    /// Run directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// File to write. Without it: NAME.bench.tar.zst.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Pack the files of the data sets as well, to measure where they are not.
    #[arg(long)]
    pub(crate) with_data: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench replay chat.bench.tar.zst\n  \
    bench replay chat.bench.tar.zst --exact --out again\n\n\
    DIR/original has the bundle, DIR/run what is measured here; `bench compare` of the two is\n\
    printed at the end.")]
pub(crate) struct ReplayArgs {
    /// Archive that `bench bundle` wrote.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Directory to unpack and measure in; must not be there. Without it: runs/replay-NAME.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Start nothing where a version or hash is not that of the bundle (107).
    #[arg(long)]
    pub(crate) exact: bool,
    #[command(flatten)]
    pub(crate) ends: EndArgs,
}

/// Forms in which a run is written for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// All requests, with the columns of requests.csv.
    Parquet,
    /// All requests, as requests.csv has them.
    Csv,
    /// All requests, an object on each line.
    Jsonl,
    /// Numbers of all cells in Prometheus' text format; INVALID ones are left out.
    Prometheus,
    /// llm-d's Benchmark Report 0.2: a document on each line, for each measured cell.
    BenchmarkReport,
    /// The main table.
    Latex,
}

/// Faces of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryFormat {
    /// Tables for this terminal.
    Terminal,
    /// Markdown.
    Markdown,
    /// The history as JSON.
    Json,
}

/// Faces of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareFormat {
    /// A table for this terminal.
    Terminal,
    /// At most 30 lines of Markdown, for a pull request.
    Markdown,
    /// The comparison as JSON.
    Json,
    /// A test for each quantity, for a CI server: what is worse fails.
    Junit,
}

/// Reads a share between 0 and 1, neither included.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "a share between 0 and 1 is needed, such as 0.02".to_owned())
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench score DIR\n  \
    bench score DIR --extract strict --extract 'The answer is (-?[0-9.,]+)'\n  \
    bench score answers.jsonl --format jsonl\n  \
    bench score samples_gsm8k.jsonl --output-column /resps/0/0 --gold-column target")]
pub(crate) struct ScoreArgs {
    /// Run directory, or a file of answers: JSON lines, CSV or Parquet; `-` reads standard input.
    #[arg(value_name = "DIR or FILE")]
    pub(crate) path: PathBuf,
    /// Extractor: strict, flexible, number, answer-is, choice, first-line, answer-letter, whole,
    /// `json:FIELD` with a name or a JSON pointer, or a pattern. Without it: the scenario's; for a
    /// file, strict and flexible.
    #[arg(long = "extract", value_name = "EXTRACTOR")]
    pub(crate) extractors: Vec<String>,
    /// Show items with the answer's end, what was found and the gold: those on which the first two
    /// extractors differ, or that are wrong, unparsed or truncated by the first.
    #[arg(long, value_name = "WHICH", value_enum, num_args = 0..=1, default_missing_value = "differs")]
    pub(crate) items: Option<ShownItems>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value_t = ScoreFormat::Terminal)]
    pub(crate) format: ScoreFormat,
    /// Column of a file that holds the answers: a name, or a JSON pointer.
    #[arg(long, value_name = "COLUMN", default_value = "output")]
    pub(crate) output_column: String,
    /// Column of a file that holds the golds.
    #[arg(long, value_name = "COLUMN", default_value = "gold")]
    pub(crate) gold_column: String,
    /// How the gold is taken: an extractor; `whole` for golds that are bare answers. Without it:
    /// the scenario's; for a file, strict. A list of golds is right by any of them.
    #[arg(long, value_name = "EXTRACTOR")]
    pub(crate) gold: Option<String>,
    /// How answers are compared: exact, numeric or set. Without it: the scenario's; for a file,
    /// exact. What `number` extracts is compared as a number.
    #[arg(long, value_name = "HOW", value_parser = word::<CompareHow>)]
    pub(crate) compare: Option<CompareHow>,
    /// Relative difference up to which two numbers are the same.
    #[arg(long, value_name = "SHARE", value_parser = tolerance)]
    pub(crate) tolerance: Option<f64>,
    /// Done to both sides, in order: lowercase, trim, or a pattern whose matches are deleted; can be
    /// given several times. Without it: the scenario's; for a file, as lm-evaluation-harness does for
    /// GSM8K: `,`, `$`, all up to `#### ` and a final point are deleted, and case is ignored.
    #[arg(long, value_name = "STEP")]
    pub(crate) normalise: Vec<String>,
    /// Whether extractors see thinking in an answer: strip or keep. Without it each has its own
    /// default.
    #[arg(long, value_name = "HOW", value_parser = word::<Think>)]
    pub(crate) think: Option<Think>,
}

/// Items that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShownItems {
    /// One of the first two extractors is right and the other is not.
    Differs,
    /// Wrong by the first extractor, also by format alone.
    Wrong,
    /// The first extractor found nothing.
    Unparsed,
    /// Cut off, or ended in its thinking.
    Truncated,
}

/// Faces of grades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScoreFormat {
    /// Tables.
    Terminal,
    /// One JSON object per item, with each extractor's class and answer.
    Jsonl,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench help running-server\n  \
    bench help compare")]
pub(crate) struct HelpArgs {
    /// Topic or command; all of them are listed without it.
    #[arg(value_name = "TOPIC or COMMAND")]
    pub(crate) words: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench explain phase.load.rate\n  \
    bench explain ttft n-too-small 104")]
pub(crate) struct ExplainArgs {
    /// Key of a scenario, metric, caveat, state of a cell, or exit code.
    #[arg(required = true, value_name = "WORD")]
    pub(crate) words: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench init                                          asks, on a terminal\n  \
    bench init chat.toml --engine vllm --model Qwen/Qwen3-4B --precision bf16,fp8\n  \
    bench init --url http://localhost:8000 --model org/name --rate 1,2,4\n  \
    bench init --preset mine                            engines/mine.toml\n\n\
    `bench quick URL --dry-run` asks the server instead of you.")]
pub(crate) struct InitArgs {
    /// File to write; `-` is standard output. Without it: scenario.toml, or engines/NAME.toml of a
    /// preset.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Make a preset of this name instead of a scenario.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["engine", "url", "model", "data",
          "tokenizer", "precision", "concurrency", "rate"])]
    pub(crate) preset: Option<String>,
    /// Engine with a preset, which the scenario starts.
    #[arg(long, short, value_name = "NAME", conflicts_with = "url")]
    pub(crate) engine: Option<String>,
    /// URL of a server that runs already.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Model: a hub repository, or a path.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// What is asked: a name of `bench data list` such as gsm8k, or a .jsonl, .csv, .parquet or
    /// .txt file; common English words without it.
    #[arg(long, short, value_name = "FILE or NAME")]
    pub(crate) data: Option<String>,
    /// Tokenizer by which lengths are counted: a directory, or a hub repository.
    #[arg(long, value_name = "DIR or REPO")]
    pub(crate) tokenizer: Option<String>,
    /// Precisions, a row each.
    #[arg(long, short, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) precision: Vec<String>,
    /// Requests at once, a row each; 1,8,32 when neither this nor --rate is given.
    #[arg(long, short, value_name = "N,…", value_delimiter = ',', conflicts_with = "rate",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) concurrency: Vec<u32>,
    /// Requests per second instead, a row each.
    #[arg(long, short, value_name = "PER_S,…", value_delimiter = ',', value_parser = above_zero)]
    pub(crate) rate: Vec<f64>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bench verify runs/open_loop-20261122T101500Z")]
pub(crate) struct VerifyArgs {
    /// Run directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bench doctor --runs runs --reap")]
pub(crate) struct DoctorArgs {
    /// Folder of run directories to look for orphans in.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// End the orphans that were found.
    #[arg(long)]
    pub(crate) reap: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    bench presets\n  \
    bench presets vllm > engines/mine.toml     a start for one of your own\n\n\
    `preset = \"NAME\"` is looked for as engines/NAME.toml beside the scenario, in the user's\n\
    configuration folder (~/.config/bench/engines) and in the program; `preset = \"./FILE.toml\"`\n\
    is that file.")]
pub(crate) struct PresetsArgs {
    /// Preset to print.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Show the data sets that are known and where they are
    List,
    /// Download a data set into the cache
    Fetch {
        /// Name, such as gsm8k, or an https URL.
        name: String,
        /// Split.
        #[arg(long)]
        split: Option<String>,
        /// Expected SHA-256 of the file; required for a URL.
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
    },
    /// Compute the checksums of what the caches hold
    Verify,
    /// Print the paths of a cached data set
    Path {
        /// Name.
        name: String,
        /// Split.
        #[arg(long)]
        split: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once per process")]
pub(crate) enum ServeCommand {
    /// A simulated engine with known latencies, and faults on demand
    Sim(SimArgs),
    /// A small real language model on the CPU
    Tiny(TinyArgs),
}

/// Reads a word of the scenario grammar.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn tolerance(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "is not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("is not from 0 to 1".to_owned()) }
}
