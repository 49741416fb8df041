//! Writing to the terminal: data to standard output, talk to standard error.

use std::io::{ErrorKind, IsTerminal, Write};

use crate::cli::args::Colour;

/// Writes data to standard output. A reader that has gone away (`| head`) is no error.
pub(crate) fn data(text: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line of talk to standard error. If nobody can read it, nobody misses it.
pub(crate) fn talk(text: &str) {
    drop(writeln!(anstream::stderr().lock(), "{text}"));
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

/// Columns of the terminal, if there is one.
pub(crate) fn width() -> Option<u16> {
    terminal_size::terminal_size().map(|(width, _)| width.0)
}
