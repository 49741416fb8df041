//! A run directory as one archive, and back: `tar` in `zstd`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use crate::ids::{copy_digested, hex};
use crate::record::lock::{BUNDLE_FORMAT, Lock, differing};
use crate::store::error::StoreError;
use crate::store::run_dir::RunDir;

/// Name of the lock in an archive, its first file.
const LOCK: &str = "bundle.json";
/// Folder of the run directory in an archive.
const RUN: &str = "run";
/// Folder of data files in an archive.
const DATA: &str = "data";
/// Compression: half the size of level 1 for texts like these, at a hundred MB a second.
const LEVEL: i32 = 9;
/// What every file that zstd compressed begins with: RFC 8878, section 3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The most that is unpacked of one archive, so that a small one cannot fill a disk.
const BYTES_MAX: u64 = 64 << 30;

/// An unpacked archive.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// What it was measured with.
    pub(crate) lock: Lock,
    /// The run directory.
    pub(crate) run: PathBuf,
    /// Data files by the name of their data set.
    pub(crate) data: Vec<(String, PathBuf)>,
}

/// Packs a run directory: plan, records, summary, report. The logs of engines, attempts that were put
/// aside, locks and ledgers stay behind. The lock gets the sum of each file.
///
/// # Errors
/// [`StoreError::Io`] for a file that cannot be read or written.
pub(crate) fn pack(
    dir: &RunDir,
    lock: &Lock,
    data: &[(String, PathBuf)],
    out: &Path,
) -> Result<(), StoreError> {
    let failed = |path: &Path| StoreError::io("pack", path);
    let mut packed: Vec<(PathBuf, PathBuf)> = Vec::new();
    for path in files(dir.path()).map_err(failed(dir.path()))? {
        let relative = path.strip_prefix(dir.path()).expect("it lies in the run directory");
        if is_packed(relative) {
            packed.push((Path::new(RUN).join(relative), path));
        }
    }
    for (place, (dataset, path)) in data.iter().enumerate() {
        // Files of one data set keep their order, and two of one name their place.
        let folder = Path::new(DATA).join(dataset).join(format!("{place:04}"));
        packed.push((folder.join(path.file_name().unwrap_or_default()), path.clone()));
    }
    let mut lock = lock.clone();
    for (name, path) in &packed {
        let sum = File::open(path).and_then(|file| copy_summed(file, &mut io::sink()));
        lock.files.insert(name.display().to_string(), sum.map_err(failed(path))?);
    }
    let file = File::create_new(out)
        .map_err(|source| StoreError::CannotCreate { path: out.to_owned(), source })?;
    let encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL).map_err(failed(out))?;
    let mut archive = Builder::new(encoder);
    let mut text = serde_json::to_vec_pretty(&lock)
        .map_err(|source| StoreError::Unwritable { path: out.to_owned(), source })?;
    text.push(b'\n');
    append(&mut archive, Path::new(LOCK), text.len() as u64, &*text).map_err(failed(out))?;
    for (name, path) in &packed {
        append_file(&mut archive, name, path)?;
    }
    let finish = || archive.into_inner()?.finish()?.into_inner()?.sync_all();
    finish().map_err(failed(out))
}

/// Whether a file of a run directory, by its relative path, goes into its bundle.
fn is_packed(relative: &Path) -> bool {
    let top = relative.components().next().map(|top| top.as_os_str().to_string_lossy());
    let name = relative.file_name().unwrap_or_default().to_string_lossy();
    let is_aside = relative.components().any(|part| part.as_os_str() == "attempts");
    let is_left = matches!(top.as_deref(), Some("engines" | "jobs" | "slurm" | "lock"));
    !is_left
        && !is_aside
        && !name.starts_with('.')
        && !name.contains(".ledger")
        && !name.contains(".torn-")
}

/// Returns the regular files below a directory, sorted; links are not followed, but for those of a
/// run that tasks of a cluster made, whose trials are links.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let kind = fs::metadata(&path)?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn append_file(
    archive: &mut Builder<impl io::Write>,
    name: &Path,
    path: &Path,
) -> Result<(), StoreError> {
    let mut add = || {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        append(archive, name, size, BufReader::new(file).take(size))
    };
    add().map_err(StoreError::io("pack", path))
}

/// Copies all bytes; returns their SHA-256.
fn copy_summed(from: impl io::Read, to: &mut impl io::Write) -> io::Result<String> {
    let mut hasher = Sha256::new();
    copy_digested(from, to, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Adds a file without owner and times: the same run makes the same archive.
fn append(
    archive: &mut Builder<impl io::Write>,
    name: &Path,
    size: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    archive.append_data(&mut header, name, content)
}

/// Unpacks an archive into a new directory, of which nothing is left where that fails.
///
/// # Errors
/// [`StoreError::NotABundle`] for another file; [`StoreError::DamagedBundle`] for what is not what was
/// packed, or would write elsewhere;
/// [`StoreError::NewerFormat`] for one of a later program; [`StoreError::CannotCreate`] if the
/// directory is there already.
pub(crate) fn unpack(archive: &Path, into: &Path) -> Result<Unpacked, StoreError> {
    let mut is_made = false;
    let unpacked = unpack_into(archive, into, &mut is_made);
    if is_made && unpacked.is_err() {
        // What cannot be removed stays; why it was made for nothing is told.
        drop(fs::remove_dir_all(into));
    }
    unpacked
}

fn unpack_into(archive: &Path, into: &Path, is_made: &mut bool) -> Result<Unpacked, StoreError> {
    let corrupt = |why: String| StoreError::DamagedBundle { path: archive.to_owned(), why };
    let other = || StoreError::NotABundle { path: archive.to_owned() };
    let missing = |source| StoreError::Missing { path: archive.to_owned(), source };
    let mut file = BufReader::new(File::open(archive).map_err(missing)?);
    if !file.fill_buf().map_err(missing)?.starts_with(&ZSTD_MAGIC) {
        return Err(other());
    }
    let decoder = zstd::Decoder::with_buffer(file).map_err(|why| corrupt(why.to_string()))?;
    let mut entries = Archive::new(decoder.take(BYTES_MAX));
    let mut lock = None;
    let (mut data, mut sums) = (Vec::new(), BTreeMap::new());
    let entries = entries.entries().map_err(|why| corrupt(why.to_string()))?;
    for entry in entries {
        let mut entry = entry.map_err(|why| corrupt(why.to_string()))?;
        let name = entry.path().map_err(|why| corrupt(why.to_string()))?.into_owned();
        let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || entry.header().entry_type() != EntryType::Regular {
            return Err(corrupt(format!("{} is not a plain file in it", name.display())));
        }
        if lock.is_none() {
            // The first file says whether this program can read the others.
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(|why| corrupt(why.to_string()))?;
            lock = Some(read_lock(&name, &text).map_err(|error| match error {
                NotRead::Format(found) => StoreError::NewerFormat {
                    path: archive.to_owned(),
                    found,
                    known: BUNDLE_FORMAT,
                },
                NotRead::OtherFile => other(),
                NotRead::Text(why) => corrupt(why),
            })?);
            fs::create_dir_all(into.parent().unwrap_or(Path::new(".")))
                .and_then(|()| fs::create_dir(into))
                .map_err(|source| StoreError::CannotCreate { path: into.to_owned(), source })?;
            *is_made = true;
            continue;
        }
        let path = into.join(&name);
        let create = || {
            fs::create_dir_all(path.parent().expect("it lies in the directory"))?;
            File::create_new(&path)
        };
        let mut file = BufWriter::new(create().map_err(StoreError::io("unpack", &path))?);
        let mut packed = Packed { entry: &mut entry, damage: None };
        let copied = copy_summed(&mut packed, &mut file).and_then(|sum| file.flush().map(|()| sum));
        if let Some(why) = packed.damage {
            return Err(corrupt(format!(
                "it is damaged: {} cannot be read: {why}",
                name.display()
            )));
        }
        let sum = copied.map_err(StoreError::io("unpack", &path))?;
        sums.insert(name.display().to_string(), sum);
        if let Ok(rest) = name.strip_prefix(DATA)
            && let Some(dataset) = rest.parent().and_then(Path::parent)
        {
            data.push((dataset.display().to_string(), path));
        }
    }
    let lock = lock.ok_or_else(|| corrupt("it is empty".to_owned()))?;
    let mut changed = differing(&lock.files, &sums).peekable();
    if !lock.files.is_empty() && changed.peek().is_some() {
        let changed = changed.collect::<Vec<_>>().join("; ");
        return Err(corrupt(format!("not what was packed: {changed}")));
    }
    drop(changed);
    Ok(Unpacked { lock, run: into.join(RUN), data })
}

/// A file of an archive, which remembers that it could not be read: that is no fault of the disk
/// it is unpacked to.
struct Packed<R> {
    entry: R,
    damage: Option<String>,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.entry.read(into).inspect_err(|why| {
            if why.kind() != io::ErrorKind::Interrupted {
                self.damage = Some(why.to_string());
            }
        })
    }
}

enum NotRead {
    Format(u32),
    OtherFile,
    Text(String),
}

fn read_lock(name: &Path, text: &[u8]) -> Result<Lock, NotRead> {
    #[derive(serde::Deserialize)]
    struct FormatAlone {
        format: u32,
    }
    if name != Path::new(LOCK) {
        return Err(NotRead::OtherFile);
    }
    let other = |why: serde_json::Error| NotRead::Text(format!("{LOCK}: {why}"));
    let FormatAlone { format } = serde_json::from_slice(text).map_err(other)?;
    if format > BUNDLE_FORMAT {
        return Err(NotRead::Format(format));
    }
    serde_json::from_slice(text).map_err(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        Lock { format: BUNDLE_FORMAT, run: "r".to_owned(), ..Lock::default() }
    }

    #[test]
    fn an_archive_holds_what_the_run_needs_and_comes_back_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("a run");
        for (name, text) in [
            ("run.json", "{}"),
            ("cells/a/trial-1/requests.jsonl", "x\n"),
            ("cells/a/attempts/trial-1-1/requests.jsonl", "old"),
            ("engines/l0/log.txt", "log"),
            ("lock", "pid"),
            ("engine-7.ledger.json", "{}"),
        ] {
            let path = run.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let rows = home.path().join("q.jsonl");
        fs::write(&rows, "rows").unwrap();
        let (one, two) = (home.path().join("1.tar.zst"), home.path().join("2.tar.zst"));
        let data = [("q".to_owned(), rows)];
        pack(&RunDir::at(&run), &lock(), &data, &one).unwrap();
        pack(&RunDir::at(&run), &lock(), &data, &two).unwrap();
        assert_eq!(
            fs::read(&one).unwrap(),
            fs::read(&two).unwrap(),
            "the same run, another archive"
        );
        let out = home.path().join("out");
        let back = unpack(&one, &out).unwrap();
        assert_eq!(Lock { files: BTreeMap::new(), ..back.lock.clone() }, lock());
        let found = files(&out).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(&out).unwrap()).collect();
        let expected =
            ["data/q/0000/q.jsonl", "run/cells/a/trial-1/requests.jsonl", "run/run.json"];
        assert_eq!(names, expected.map(Path::new));
        assert!(back.lock.files.keys().eq(&expected), "{:?}", back.lock.files);
        assert_eq!(back.data, [("q".to_owned(), out.join("data/q/0000/q.jsonl"))]);
        assert!(matches!(unpack(&one, &out), Err(StoreError::CannotCreate { .. })));
    }

    #[test]
    fn an_archive_that_would_write_elsewhere_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let check = |build: &dyn Fn(&mut Builder<Vec<u8>>), part: &str| {
            let mut archive = Builder::new(Vec::new());
            build(&mut archive);
            let path = home.path().join("b.tar.zst");
            fs::write(&path, zstd::encode_all(&*archive.into_inner().unwrap(), 1).unwrap())
                .unwrap();
            let into = home.path().join("into");
            let told = unpack(&path, &into).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
            let _ = fs::remove_dir_all(&into);
        };
        let text = serde_json::to_vec(&lock()).unwrap();
        let locked = |archive: &mut Builder<Vec<u8>>| {
            append(archive, Path::new(LOCK), text.len() as u64, &*text).unwrap();
        };
        check(&|_| {}, "it is empty");
        check(&|archive| append(archive, Path::new("a"), 1, &b"a"[..]).unwrap(), "is not a bundle");
        check(
            &|archive| {
                locked(archive);
                let mut header = Header::new_gnu();
                header.set_size(1);
                let name = b"../elsewhere";
                header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
                header.set_cksum();
                archive.append(&header, &b"a"[..]).unwrap();
            },
            "not a plain file",
        );
        check(
            &|archive| {
                locked(archive);
                let mut header = Header::new_gnu();
                header.set_size(0);
                header.set_entry_type(EntryType::Symlink);
                archive.append_link(&mut header, "run/link", "/etc").unwrap();
            },
            "not a plain file",
        );
        assert!(!home.path().join("elsewhere").exists());
        fs::write(home.path().join("b.tar.zst"), "no archive").unwrap();
        assert!(unpack(&home.path().join("b.tar.zst"), &home.path().join("into")).is_err());
    }
}
