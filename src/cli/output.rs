//! Output: data to standard output, messages to standard error.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{PoisonError, RwLock};

use crate::cli::args::Colour;
use crate::cli::screen::terminal as screen;
use crate::datasets::cache::DatasetCache;
use crate::engine::credentials::inherited;
use crate::secrets::Secret;
use crate::secrets::redact::Redactor;

/// The secrets that no output may hold. The one door to the terminal knows them, so that no
/// message has to think of them.
static HIDDEN: RwLock<Option<Redactor>> = RwLock::new(None);

/// Keeps the secrets that this redaction knows out of all further output.
pub(crate) fn hide(redactor: &Redactor) {
    *HIDDEN.write().unwrap_or_else(PoisonError::into_inner) = Some(redactor.clone());
}

/// Returns the secrets that every command may come across: those in the environment, and the
/// hub's.
pub(crate) fn usual_secrets() -> Vec<Secret> {
    inherited().into_iter().chain(hub_token()).collect()
}

/// Returns the credential for the hub, which may come from a file.
pub(crate) fn hub_token() -> Option<Secret> {
    DatasetCache::from_env().ok()?.token().cloned()
}

/// Returns a text without the secrets that no output may hold.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    match &*HIDDEN.read().unwrap_or_else(PoisonError::into_inner) {
        Some(redactor) => Cow::Owned(redactor.values(text).into_owned()),
        None => Cow::Borrowed(text),
    }
}

/// Writes data to standard output. A reader that has gone away (`| head`) is not an error.
pub(crate) fn data(text: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(shown(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Standard output for what is written bit by bit. What a reader that has gone away does not take is
/// dropped.
pub(crate) fn stream() -> impl Write + Send {
    Stream { stdout: std::io::stdout(), is_closed: false }
}

struct Stream {
    stdout: std::io::Stdout,
    is_closed: bool,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        match self.stdout.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(bytes.len())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.stdout.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

/// Writes a line for people to standard error, where a run on a screen of its own does not hide it.
/// If nobody can read it, nobody misses it.
pub(crate) fn message(text: &str) {
    screen::give_back();
    drop(writeln!(anstream::stderr().lock(), "{}", shown(text)));
}

/// Lets colours through, or not, whatever the streams are; without a choice a stream decides.
pub(crate) fn choose(choice: Colour) {
    match choice {
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
        Colour::Auto => {}
    }
}

/// Whether output to this stream is coloured.
pub(crate) fn is_coloured(choice: Colour, stream: &impl IsTerminal) -> bool {
    match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            stream.is_terminal() && !no_color && !is_dumb
        }
    }
}

/// Returns the columns of standard output, where it is a terminal, and whether it is coloured.
pub(crate) fn stdout_form(choice: Colour) -> (Option<u16>, bool) {
    let stdout = std::io::stdout();
    (stdout.is_terminal().then(width).flatten(), is_coloured(choice, &stdout))
}

/// Columns of the terminal, if there is one.
pub(crate) fn width() -> Option<u16> {
    terminal_size::terminal_size().map(|(width, _)| width.0)
}
