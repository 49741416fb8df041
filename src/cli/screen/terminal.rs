//! The terminal's second screen: taken while a run is shown, and given back on every way out.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{self, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use nix::unistd::Pid;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::{Attribute, SetAttribute};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};

/// A byte by which a terminal's special character is none.
const DISABLED: u8 = 0;

/// What is to be undone, while the second screen is shown. One for the program: whoever has a
/// message for people gets the first screen back before, also when the program panics.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

struct Taken {
    keyboard: File,
    before: Termios,
    /// Lines that the first screen gets when it is back.
    lines: Vec<String>,
}

/// Shows the second screen and reads keys without waiting for a line. Ctrl-C stays the signal that
/// it is, for the whole process group.
///
/// # Errors
/// When there is no keyboard, or the terminal takes no orders.
pub(super) fn take() -> io::Result<()> {
    let keyboard = File::options().read(true).write(true).open("/dev/tty")?;
    let before = termios::tcgetattr(&keyboard)?;
    let mut raw = before.clone();
    raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::IEXTEN);
    // Ctrl-S would hold up what is drawn, Ctrl-Z the clock of a measurement.
    raw.input_flags.remove(InputFlags::IXON);
    raw.control_chars[SpecialCharacterIndices::VSUSP as usize] = DISABLED;
    // A look at the keyboard returns at once, with or without a key.
    raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
    raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    termios::tcsetattr(&keyboard, SetArg::TCSANOW, &raw)?;
    *taken = Some(Taken { keyboard, before, lines: Vec::new() });
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

/// Gives the first screen back, with the lines that were kept for it; does nothing where it is
/// shown already.
pub(crate) fn give_back() {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Taken { keyboard, before, lines }) = taken.take() else { return };
    // A terminal that is gone needs nothing of this.
    drop(execute!(io::stdout(), SetAttribute(Attribute::Reset), Show, LeaveAlternateScreen));
    let _ = termios::tcsetattr(&keyboard, SetArg::TCSADRAIN, &before);
    let mut stderr = anstream::stderr().lock();
    for line in lines {
        drop(writeln!(stderr, "{line}"));
    }
}

/// Keeps a line for the first screen; writes it at once where that is shown.
pub(super) fn keep(line: String) {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *taken {
        Some(taken) => taken.lines.push(line),
        None => drop(writeln!(anstream::stderr().lock(), "{line}")),
    }
}

/// Asks the run to end, as Ctrl-C does, for each `q` that was pressed since the last look.
pub(super) fn look_at_keys() {
    let mut keys = [0; 64];
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(taken) = &mut *taken else { return };
    // A keyboard that is gone has no keys; the hang-up comes as a signal.
    let n_keys = taken.keyboard.read(&mut keys).unwrap_or(0);
    for _ in keys[..n_keys].iter().filter(|key| key.eq_ignore_ascii_case(&b'q')) {
        // Nothing can be wrong with a signal to oneself.
        let _ = kill(Pid::this(), Signal::SIGINT);
    }
}

/// Collects what is drawn and writes it at once, as long as the second screen is shown.
#[derive(Debug, Default)]
pub(super) struct Drawn(Vec<u8>);

impl Write for Drawn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Throws away what was drawn for a screen that is not shown any more.
    fn flush(&mut self) -> io::Result<()> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = std::mem::take(&mut self.0);
        if taken.is_none() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&drawn)?;
        stdout.flush()
    }
}
