//! Repairs a journal whose writer died in the middle of a record.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::store::atomic;
use crate::store::error::StoreError;
use crate::store::file_sum::FileSum;
use crate::store::records::{Line, Lines};

/// Copies a torn tail, if any, to `.torn-N` and cuts it off. Returns what the journal then holds.
///
/// # Errors
/// [`StoreError::Corrupt`] if a whole record follows the damage, which a crash cannot cause.
pub(super) fn recover(path: &Path) -> Result<(FileSum, crc32fast::Hasher), StoreError> {
    let mut lines = Lines::open(path)?;
    loop {
        match lines.next_line()? {
            Line::Whole => {}
            Line::End => break,
            Line::Bad(why) => {
                let damage = lines.corrupt(why.to_owned());
                if lines.skip_tail()?.is_none() {
                    return Err(damage);
                }
                cut_off(path, lines.offset)?;
                break;
            }
        }
    }
    let mut hasher = crc32fast::Hasher::new();
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    io::copy(&mut io::BufReader::with_capacity(1 << 18, file), &mut Digest(&mut hasher))
        .map_err(StoreError::io("read", path))?;
    let sum =
        FileSum { records: lines.number, bytes: lines.offset, crc32: hasher.clone().finalize() };
    Ok((sum, hasher))
}

fn cut_off(path: &Path, offset: u64) -> Result<(), StoreError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(StoreError::io("open", path))?;
    file.seek(SeekFrom::Start(offset)).map_err(StoreError::io("read", path))?;
    let torn = free_name(path);
    let mut copy = File::create_new(&torn).map_err(StoreError::io("create", &torn))?;
    io::copy(&mut file, &mut copy).map_err(StoreError::io("write", &torn))?;
    copy.sync_all().map_err(StoreError::io("sync", &torn))?;
    atomic::sync_parent(&torn)?;
    file.set_len(offset).map_err(StoreError::io("truncate", path))?;
    file.sync_all().map_err(StoreError::io("sync", path))
}

fn free_name(path: &Path) -> PathBuf {
    (1..=u32::MAX)
        .map(|n| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".torn-{n}"));
            PathBuf::from(name)
        })
        .find(|name| !name.exists())
        .expect("one of four billion names is free")
}

/// Feeds a checksum.
struct Digest<'a>(&'a mut crc32fast::Hasher);

impl io::Write for Digest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
