//! Why a command ends early, with the way out and the exit code.

use crate::analysis::rescore::RescoreError;
use crate::cli::exit::Exit;
use crate::datasets::cache::NoCacheDir;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::credentials::CredentialError;
use crate::load::spec::LoadError;
use crate::report::template::TemplateError;
use crate::run::RunError;
use crate::run::clients::ClientsError;
use crate::run::prepare::PrepareError;
use crate::store::error::StoreError;

/// What a command says when it cannot do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: Message,
    help: Option<String>,
    kept: Option<String>,
}

#[derive(Debug)]
enum Message {
    Text(String),
    Scenario(Box<Diagnostics>),
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Message::Text(message.into()), help: None, kept: None }
    }

    /// A missing or unreadable input.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Exit::NoInput, message).help("check the path")
    }

    /// Mistakes in a scenario, all of them.
    pub(crate) fn scenario(diagnostics: Diagnostics) -> Self {
        Self {
            exit: Exit::Scenario,
            message: Message::Scenario(Box::new(diagnostics)),
            help: None,
            kept: None,
        }
    }

    /// Data that cannot be used.
    pub(crate) fn data(error: PrepareError) -> Self {
        match error {
            PrepareError::NoCacheDir(error) => error.into(),
            PrepareError::Open(error) => {
                let exit = Exit::from_code(error.exit_code());
                Self::new(exit, error.to_string()).help(error.help())
            }
            PrepareError::Data(error) => {
                let help = error.help.clone();
                Self::new(Exit::BadData, error.to_string()).help(help)
            }
            PrepareError::Requests { ref source, .. } => {
                let help = source.help.clone();
                Self::new(Exit::BadData, error.to_string()).help(help)
            }
            PrepareError::Gold { .. } => Self::new(Exit::BadData, error.to_string())
                .help("mend these rows, or set `gold` in [score] to a pattern that reads them; nothing could be scored against a gold that cannot be read"),
            PrepareError::Pattern { .. } => Self::new(Exit::Scenario, error.to_string())
                .help("mend the pattern in [score]"),
        }
    }

    /// What to do next: one concrete step.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into()).filter(|help| !help.is_empty());
        self
    }

    /// The part of the run that is on disk in spite of the failure.
    #[must_use]
    pub(crate) fn kept(mut self, kept: Option<String>) -> Self {
        self.kept = kept;
        self
    }

    /// Tells mistakes in a scenario as `told` makes them.
    #[must_use]
    pub(crate) fn retold(mut self, told: impl Fn(&mut Diagnostic)) -> Self {
        if let Message::Scenario(diagnostics) = &mut self.message {
            diagnostics.retell(told);
        }
        self
    }

    /// Returns the whole message, for standard error.
    pub(crate) fn render(&self, colour: bool) -> String {
        let mut text = match &self.message {
            Message::Text(message) => format!("error: {message}"),
            Message::Scenario(diagnostics) => return diagnostics.render(colour),
        };
        if let Some(help) = &self.help {
            text = format!("{text}\n  help: {help}");
        }
        if let Some(kept) = &self.kept {
            text = format!("{text}\n  kept: {kept}");
        }
        text
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = Exit::from_code(error.exit_code());
        Self::new(exit, error.to_string()).help(error.help())
    }
}

impl From<RescoreError> for Failure {
    fn from(error: RescoreError) -> Self {
        match error {
            RescoreError::Store(error) => error.into(),
            RescoreError::Open { .. } => Self::input(error.to_string()),
            RescoreError::Empty { .. } => Self::new(Exit::BadData, error.to_string())
                .help("give a file with a row for each answer and its gold"),
            RescoreError::Pattern(_) => Self::new(Exit::BadData, error.to_string())
                .help("`bench score --help` shows examples"),
            RescoreError::Data(error) => {
                Self::new(Exit::BadData, error.to_string()).help(error.help)
            }
            RescoreError::Gold(error) => {
                Self::new(Exit::BadData, error.to_string()).help(if error.extractor == "whole" {
                    "mend these rows, or take them out: nothing can be graded against them; or name \
                     an extractor whose answers can meet them"
                } else {
                    "mend these rows, or say with --gold how a gold is taken: `whole` for bare \
                     answers"
                })
            }
        }
    }
}

impl From<NoCacheDir> for Failure {
    fn from(error: NoCacheDir) -> Self {
        Self::new(Exit::CannotCreate, error.to_string()).help(NoCacheDir::HELP)
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        Self::new(Exit::Scenario, error.to_string()).help(error.help())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Load { ref source, .. }
            | RunError::Clients { source: ClientsError::Load(ref source), .. } => {
                let (exit, help) = of_load(source);
                Self::new(exit, format!("failed to {error}")).help(help)
            }
            RunError::Clients { source: ClientsError::Client { .. }, .. } => {
                Self::new(Exit::Unavailable, format!("failed to {error}")).help(
                    "try its command by itself: it runs this very path of bench on a machine that \
                     has the data set and reaches the engine; `bench resume` goes on",
                )
            }
            RunError::Unguarded { .. } => Self::new(Exit::Internal, format!("failed to {error}"))
                .help(
                    "a process of bench was ended by somebody else, as the kernel does when memory \
                     runs out (`dmesg` says so); `bench resume` measures the cell again",
                ),
            RunError::Workload { .. } => Self::new(Exit::BadData, format!("failed to {error}"))
                .help("look at the data set of this cell"),
        }
    }
}

/// Returns the exit code and the way out for a load that could not be generated.
fn of_load(error: &LoadError) -> (Exit, &'static str) {
    match error {
        LoadError::BadUrl { .. } => {
            (Exit::Scenario, "set `url` of this engine to `http://HOST:PORT` or `https://…`")
        }
        LoadError::BadHeader { .. } => {
            (Exit::Scenario, "a header holds printable characters on one line")
        }
        LoadError::Resolve { .. } => {
            (Exit::Unavailable, "check the host in `url` of this engine, and the name service")
        }
        LoadError::TooFewDescriptors { .. } => {
            (Exit::SystemLimit, "raise the limit (`ulimit -n`), or ask for fewer streams")
        }
        LoadError::System { .. } => {
            (Exit::SystemLimit, "see `bench doctor` for this machine's limits")
        }
        LoadError::Sink(_) => (Exit::InputOutput, "check the disk that holds the run directory"),
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::new(Exit::BadData, error.to_string()).help(error.help())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::InputOutput, format!("failed to write to standard output: {error}"))
    }
}
