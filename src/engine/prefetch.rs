//! Reads the model files of the next engine into the page cache while another one is measured.
//!
//! A process of its own reads them, this program again: last in line for CPUs and disk, so that it
//! goes on when nobody else wants to. It reads them to its end in the way that the engine will, since
//! an advice to the kernel (`POSIX_FADV_WILLNEED`) brings no more than the first stretch of a file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use indicatif::BinaryBytes;
use nix::libc::{SCHED_IDLE, SYS_ioprio_set, sched_param, sched_setscheduler, syscall};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use procfs::{Current as _, Meminfo};

use crate::engine::start::page_cache::files;

/// The hidden subcommand under which this program reads.
pub(crate) const SUBCOMMAND: &str = "__prefetch";

/// Bytes of one read.
const STEP: usize = 1 << 20;
/// Share of the memory that is free or can be freed which the files may take. What is measured keeps
/// its own pages then.
const MEMORY_SHARE: u64 = 2;

/// A model's files that are being read.
#[derive(Debug)]
pub(crate) struct Prefetch {
    reader: Child,
    n_read: Arc<AtomicU64>,
    n_bytes: u64,
}

impl Prefetch {
    /// Begins to read; `program` is this one.
    ///
    /// # Errors
    /// One sentence that says why nothing is read.
    pub(crate) fn start(program: &Path, model: &Path) -> Result<Self, String> {
        let n_bytes = size(model).map_err(|error| format!("read {}: {error}", model.display()))?;
        let available = Meminfo::current().ok().and_then(|memory| memory.mem_available);
        let limit = available.unwrap_or(0) / MEMORY_SHARE;
        if n_bytes > limit {
            let (n_bytes, limit) = (BinaryBytes(n_bytes), BinaryBytes(limit));
            return Err(format!("they are {n_bytes}, and half of the available memory is {limit}"));
        }
        let mut reader = Command::new(program)
            .arg(SUBCOMMAND)
            .arg(model)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("start a process that reads: {error}"))?;
        let told = BufReader::new(reader.stdout.take().expect("its output is a pipe"));
        let n_read = Arc::new(AtomicU64::new(0));
        let so_far = Arc::clone(&n_read);
        // It ends with the process, whose last word closes the pipe.
        thread::spawn(move || {
            for n in told.lines().map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                so_far.store(n, Ordering::Relaxed);
            }
        });
        Ok(Self { reader, n_read, n_bytes })
    }

    /// Returns how many bytes were read, of how many.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.n_read.load(Ordering::Relaxed), self.n_bytes)
    }
}

/// Nobody reads when an engine starts, or when the run is over.
impl Drop for Prefetch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.reader.kill();
        let _ = self.reader.wait();
    }
}

fn size(model: &Path) -> io::Result<u64> {
    files(model)?.iter().map(|path| std::fs::metadata(path).map(|it| it.len())).sum()
}

/// Reads the model that the one argument names, and tells on stdout how many bytes that is so far.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    // With the runner goes the reader, also when the runner is killed.
    let read = set_pdeathsig(Signal::SIGKILL)
        .map_err(io::Error::from)
        .and_then(|()| be_last_in_line())
        .and_then(|()| {
            let model = arguments.first().ok_or_else(|| io::Error::other("which model?"))?;
            read(Path::new(model), &mut io::stdout().lock())
        });
    if read.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(model: &Path, told: &mut impl Write) -> io::Result<()> {
    let (mut buffer, mut n_read) = (vec![0; STEP], 0_u64);
    for path in files(model)? {
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => n_read += n as u64,
            }
            writeln!(told, "{n_read}")?;
        }
    }
    Ok(())
}

/// Lets everybody else go first at CPUs and disks.
#[expect(unsafe_code, reason = "system calls without a wrapper")]
fn be_last_in_line() -> io::Result<()> {
    /// `IOPRIO_WHO_PROCESS`, this process, and class 3 of `linux/ioprio.h`, idle, in its place.
    const IDLE_DISK: (i32, i32, i32) = (1, 0, 3 << 13);
    let no_priority = sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads the structure that the pointer names.
    if unsafe { sched_setscheduler(0, SCHED_IDLE, &raw const no_priority) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (which, this, class) = IDLE_DISK;
    // SAFETY: the call takes three numbers.
    if unsafe { syscall(SYS_ioprio_set, which, this, class) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_model_is_read_and_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.safetensors"), vec![7; 3 * STEP + 5]).unwrap();
        std::fs::write(dir.path().join("config.json"), "{}").unwrap();
        let n_bytes = 3 * STEP as u64 + 7;
        assert_eq!(size(dir.path()).unwrap(), n_bytes);
        let mut told = Vec::new();
        read(dir.path(), &mut told).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(told.lines().last(), Some(n_bytes.to_string().as_str()));
        assert!(Prefetch::start(Path::new("/nowhere"), dir.path()).is_err());
        assert!(Prefetch::start(Path::new("/nowhere"), &dir.path().join("missing")).is_err());
    }

    #[test]
    fn a_reader_is_last_in_line_for_cpu_and_disk() {
        thread::spawn(|| {
            be_last_in_line().unwrap();
            let stat = procfs::process::Process::myself().unwrap();
            let thread = nix::unistd::gettid().as_raw();
            let stat = stat.task_from_tid(thread).unwrap().stat().unwrap();
            assert_eq!(stat.policy, Some(SCHED_IDLE as u32));
        })
        .join()
        .unwrap();
    }
}
