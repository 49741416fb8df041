//! The engine's log: kept on disk without bound on what the engine writes, shown without harm.
//!
//! The engine writes to the file itself, never to a pipe of ours, so it cannot block on us; and
//! the open file marks its processes as ours when all else is gone.

pub mod failure;
pub mod throughput;

pub(in crate::engine) mod follow;
pub(in crate::engine) mod stages;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::secrets::redact::Redactor;

/// Size at which the middle of a log is cut out.
pub const LOG_BYTES_MAX: u64 = 32 << 20;
/// Bytes kept from the beginning: the start of an engine explains most failures.
const HEAD_BYTES: u64 = 8 << 20;
/// Bytes kept from the end at each cut.
const TAIL_BYTES: u64 = 8 << 20;
/// Lines of a log that a message shows.
pub const TAIL_LINES: usize = 50;
/// Characters of a line that a message shows.
const LINE_CHARS_MAX: usize = 400;
/// Bytes read from the end to find the last lines.
const TAIL_READ_BYTES: u64 = 256 << 10;
/// Bytes read from the end for a glance.
const GLANCE_BYTES: u64 = 8 << 10;

/// Bytes of a log that are searched for secrets at once.
const REDACT_BYTES: u64 = 1 << 20;
/// The longest token that is known by its look alone; longer ones are known by their value.
const TOKEN_BYTES: usize = 1 << 10;

/// Opens a log for appending, readable by its owner alone.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)
}

/// Returns the identity `(device, inode)` of an open log.
///
/// # Errors
/// When the file's facts cannot be read.
pub fn identity(log: &File) -> io::Result<(u64, u64)> {
    log.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Cuts the middle out of a log that grew over [`LOG_BYTES_MAX`] and says so in the log.
///
/// Returns the bytes that were left out. Lines written between the read of the tail and the
/// cut are lost as well and counted; the engine goes on writing all the while.
///
/// # Errors
/// When the file cannot be read or written.
pub fn cut(log: &mut File) -> io::Result<u64> {
    let size = log.metadata()?.len();
    if size <= LOG_BYTES_MAX {
        return Ok(0);
    }
    let mut tail = vec![0; TAIL_BYTES as usize];
    log.read_exact_at(&mut tail, size - TAIL_BYTES)?;
    let size = log.metadata()?.len();
    log.set_len(HEAD_BYTES)?;
    let n_lost = size - HEAD_BYTES - TAIL_BYTES;
    let mark = format!("\n[bench: {n_lost} bytes of this log were left out here]\n");
    // One write, so that no line of the engine falls between the mark and the tail.
    let mut text = mark.into_bytes();
    text.append(&mut tail);
    log.write_all(&text)?;
    Ok(n_lost)
}

/// Overwrites secrets in a log with asterisks, in place and as the log grows.
#[derive(Debug)]
pub struct LogRedaction {
    redactor: Redactor,
    /// Bytes from the start in which nothing is left to find.
    done: u64,
    /// Size of the log at the last look.
    seen: u64,
}

impl LogRedaction {
    /// Begins at the start of the log.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, done: 0, seen: 0 }
    }

    /// Looks at the whole log again: its middle was cut out.
    pub fn begin_again(&mut self) {
        (self.done, self.seen) = (0, 0);
    }

    /// Overwrites what was written since the last call.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn go_on(&mut self, log: &File) -> io::Result<()> {
        self.look(log, false)
    }

    /// Overwrites what is left anywhere in a log that grows no more.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn finish(&mut self, log: &File) -> io::Result<()> {
        self.begin_again();
        self.look(log, true)
    }

    fn look(&mut self, log: &File, is_last: bool) -> io::Result<()> {
        let size = log.metadata()?.len();
        if size == self.seen {
            return Ok(());
        }
        let overlap = self.redactor.longest().max(TOKEN_BYTES) as u64;
        loop {
            let n_bytes = (size - self.done).min(REDACT_BYTES);
            let mut block = vec![0; n_bytes as usize];
            log.read_exact_at(&mut block, self.done)?;
            for secret in self.redactor.in_log(&block) {
                // What touches the end may be half a secret: the next look sees all of it.
                if secret.end < block.len() || is_last {
                    overwrite(log, self.done + secret.start as u64, secret.len())?;
                }
            }
            let is_end = self.done + n_bytes == size;
            self.done = self.done.max((self.done + n_bytes).saturating_sub(overlap));
            if is_end {
                self.seen = size;
                return Ok(());
            }
        }
    }
}

/// Not through the log's own descriptor: what is opened for appending only appends.
fn overwrite(log: &File, at: u64, n_bytes: usize) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", log.as_raw_fd());
    OpenOptions::new().write(true).open(own)?.write_all_at(&vec![b'*'; n_bytes], at)
}

/// Returns the last lines of a log: printable, bounded and without secrets.
pub fn tail(path: &Path, redactor: &Redactor) -> Vec<String> {
    last(end(path, redactor))
}

/// Returns as many of the lines as a tail has.
pub(in crate::engine) fn last(mut lines: Vec<String>) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(TAIL_LINES))
}

/// Returns the last lines of a log for a display that looks at it each second: few bytes are read,
/// and a line that began before them is left out, as it may begin within a secret.
pub(crate) fn glance(path: &Path, redactor: &Redactor) -> Vec<String> {
    let bytes = read_end(path, GLANCE_BYTES).unwrap_or_default();
    let is_all = (bytes.len() as u64) < GLANCE_BYTES;
    let begin = if is_all { 0 } else { memchr::memchr(b'\n', &bytes).unwrap_or(bytes.len()) };
    last(shown_lines(&bytes[begin..], redactor))
}

/// Returns what a log's last quarter of a megabyte says, line by line, as a tail has them.
pub(in crate::engine) fn end(path: &Path, redactor: &Redactor) -> Vec<String> {
    shown_lines(&read_end(path, TAIL_READ_BYTES).unwrap_or_default(), redactor)
}

fn shown_lines(bytes: &[u8], redactor: &Redactor) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = redactor.text(&text);
    text.split('\n')
        // A progress bar rewrites its line; only what was shown last is of interest.
        .map(|line| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default())
        .map(printable)
        .filter(|line| !line.trim().is_empty())
        .map(|line| bounded(&line))
        .collect()
}

/// Returns text that cannot move a terminal's cursor: no escape sequences, no control bytes.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\t' => clean.push(' '),
            _ if char.is_control() || is_direction_mark(char) => {}
            _ => clean.push(char),
        }
    }
    clean
}

fn read_end(path: &Path, n_bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(n_bytes)))?;
    let mut bytes = Vec::new();
    file.take(n_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn bounded(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_owned(),
    }
}

fn is_direction_mark(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => skip_control_sequence(chars),
        // An operating-system command ends with BEL or ESC backslash (ECMA-48, 8.3.89).
        Some(']' | 'P' | '_' | '^') => {
            while let Some(char) = chars.next() {
                if char == '\u{7}' {
                    break;
                }
                if char == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Skips to the final byte of a control sequence, `@` to `~` (ECMA-48, 5.4).
fn skip_control_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(char) = chars.next_if(|char| !char.is_control()) {
        if ('@'..='~').contains(&char) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secrets::Secret;

    #[test]
    fn escape_sequences_and_control_bytes_do_not_reach_a_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("\u{1b}[1;31mERROR\u{1b}[0m x", "ERROR x");
        check("\u{1b}]0;title\u{7}after", "after");
        check("\u{1b}]8;;http://x\u{1b}\\link", "link");
        check("a\u{8}\u{0}b\tc", "ab c");
        check("\u{9b}2Jx\u{202e}y", "xy");
    }

    proptest! {
        #[test]
        fn no_input_leaves_a_control_character(text in ".*") {
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }
    }

    #[test]
    fn the_tail_is_short_clean_and_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let mut text: String =
            (0..200).fold(String::new(), |text, n| text + &format!("line {n}\n"));
        text += "  0%\r 50%\r100% done\n\nkey=canary-4711 \u{1b}[2J";
        text += &"x".repeat(5_000);
        let mut file = open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.write_all(b"\nbad \xff\xfe utf8\n").unwrap();
        let tail = tail(&path, &Redactor::new(Secret::new("canary-4711")));
        assert_eq!(tail.len(), TAIL_LINES);
        assert_eq!(tail[TAIL_LINES - 4], "line 199");
        assert_eq!(tail[TAIL_LINES - 3], "100% done");
        assert!(tail[TAIL_LINES - 2].starts_with("key=*** xxx"));
        assert!(tail[TAIL_LINES - 2].chars().count() < 420);
        assert_eq!(tail[TAIL_LINES - 1], "bad \u{fffd}\u{fffd} utf8");
    }

    #[test]
    fn a_glance_leaves_out_a_line_whose_beginning_it_has_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let mut file = open(&path).unwrap();
        let redactor = Redactor::new(Secret::new("canary-4711"));
        file.write_all(b"key=canary-4711 ok\n").unwrap();
        assert_eq!(glance(&path, &redactor), ["key=*** ok"]);
        // All bytes but the first three of the secret are within the glance.
        let rest = "x".repeat(GLANCE_BYTES as usize - "ary-4711\nlast\n".len());
        file.write_all(format!("canary-4711{rest}\nlast\n").as_bytes()).unwrap();
        assert_eq!(glance(&path, &redactor), ["last"]);
    }

    #[test]
    fn a_log_that_grows_too_long_keeps_its_head_and_tail_and_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let mut engine = open(&path).unwrap();
        engine.write_all(b"first line\n").unwrap();
        let mut bench = open(&path).unwrap();
        assert_eq!(cut(&mut bench).unwrap(), 0);
        engine.write_all(&vec![b'.'; LOG_BYTES_MAX as usize]).unwrap();
        engine.write_all(b"\nlast line\n").unwrap();
        let n_lost = cut(&mut bench).unwrap();
        engine.write_all(b"after\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("first line\n"));
        assert!(text.ends_with("\nlast line\nafter\n"));
        assert!(text.contains(&format!("[bench: {n_lost} bytes of this log were left out here]")));
        assert!((text.len() as u64) < LOG_BYTES_MAX);
    }

    #[test]
    fn a_secret_in_the_log_is_overwritten_while_the_log_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let mut engine = open(&path).unwrap();
        let bench = open(&path).unwrap();
        let mut redaction = LogRedaction::new(Redactor::new(Secret::new("canary-4711")));
        let mut write = |text: &str| {
            engine.write_all(text.as_bytes()).unwrap();
            redaction.go_on(&bench).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        assert_eq!(write("a canary-4711 b\nhf_AbCdEf"), "a *********** b\nhf_AbCdEf");
        assert_eq!(write("Gh12 c cana"), format!("a *********** b\n{} c cana", "*".repeat(13)));
        assert!(write("ry-4711\n").ends_with(" c ***********\n"));
        write(&"x".repeat(3 << 20));
        assert!(write("canary-4711 end\ncanary-4711").ends_with("*********** end\ncanary-4711"));
        redaction.finish(&bench).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("canary"));
    }
}
