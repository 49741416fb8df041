//! What a file is packed in, and what it is when it is none of the files that rows are read from.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// Bytes that are looked at to know a file.
pub(super) const HEAD: usize = 4096;
/// Bytes read at a time.
const PIECE: usize = 1 << 18;

/// The largest window that the format has, 2 GiB; a file that needs less takes less.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// The text of a file, unpacked and as UTF-8, with its first bytes in front again.
pub(super) struct Unpacked {
    pub(super) head: Vec<u8>,
    pub(super) text: Box<dyn BufRead>,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Packing {
    fn of(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame; or one to skip, with which parallel and seekable packers begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => return None,
        })
    }

    fn reader(self, packed: Box<dyn BufRead>) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            // Several members one after the other are one file, as for the tools of each.
            Self::Gzip => Box::new(Gzip::Member(Box::new(flate2::bufread::GzDecoder::new(packed)))),
            Self::Zstd => {
                let mut reader = zstd::stream::read::Decoder::with_buffer(packed)?;
                // Large sets are packed with `--long`.
                reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(reader)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(packed, true)),
        })
    }
}

/// Unpacks the members of a gzip file, and zeros behind them, as tapes and disks fill blocks up.
enum Gzip {
    Member(Box<flate2::bufread::GzDecoder<Box<dyn BufRead>>>),
    Over,
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Self::Member(member) = self {
            let n_read = member.read(buffer)?;
            if n_read > 0 || buffer.is_empty() {
                return Ok(n_read);
            }
            let Self::Member(member) = std::mem::replace(self, Self::Over) else { break };
            let mut packed = member.into_inner();
            if !is_over(&mut packed)? {
                *self = Self::Member(Box::new(flate2::bufread::GzDecoder::new(packed)));
            }
        }
        Ok(0)
    }
}

/// Passes over zeros; returns whether nothing else follows.
fn is_over(packed: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let piece = packed.fill_buf()?;
        let n_zeros = piece.iter().take_while(|byte| **byte == 0).count();
        let (is_end, has_other) = (piece.is_empty(), n_zeros < piece.len());
        packed.consume(n_zeros);
        if is_end || has_other {
            return Ok(is_end);
        }
    }
}

/// Unpacks a text, and makes UTF-8 of UTF-16 that says what it is.
pub(super) fn unpacked(file: Box<dyn Read>) -> io::Result<Unpacked> {
    let (mut head, mut text) = peek(file)?;
    if let Some(packing) = Packing::of(&head) {
        let unpacked = packing.reader(text).and_then(peek);
        (head, text) = unpacked.map_err(|error| told(packing, &error))?;
        if Packing::of(&head).is_some() {
            return Err(io::Error::other("packed twice: unpack it once"));
        }
    }
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        (head, text) = peek(Box::new(Utf16::new(text)))?;
    }
    Ok(Unpacked { head, text })
}

fn told(packing: Packing, error: &io::Error) -> io::Error {
    let name = match packing {
        Packing::Gzip => "gzip",
        Packing::Zstd => "zstd",
        Packing::Bzip2 => "bzip2",
        Packing::Xz => "xz",
    };
    io::Error::other(format!("packed with {name}, and damaged: {error}"))
}

/// Reads the first bytes, and puts them in front again.
fn peek(mut file: impl Read + 'static) -> io::Result<(Vec<u8>, Box<dyn BufRead>)> {
    let mut head = Vec::new();
    (&mut file).take(HEAD as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(file);
    Ok((head, Box::new(BufReader::with_capacity(PIECE, whole))))
}

/// Makes UTF-8 of UTF-16, piece by piece.
struct Utf16 {
    text: Box<dyn BufRead>,
    decoder: encoding_rs::Decoder,
    made: Vec<u8>,
    n_given: usize,
    is_over: bool,
}

impl Utf16 {
    fn new(text: Box<dyn BufRead>) -> Self {
        // Its mark says which of the two it is, and is taken out.
        let decoder = encoding_rs::UTF_16LE.new_decoder();
        Self { text, decoder, made: Vec::new(), n_given: 0, is_over: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let piece = self.text.fill_buf()?;
        self.is_over = piece.is_empty();
        let n_max = self.decoder.max_utf8_buffer_length(piece.len()).unwrap_or(PIECE * 4);
        self.made.resize(n_max, 0);
        let (_, n_read, n_made, _) =
            self.decoder.decode_to_utf8(piece, &mut self.made, self.is_over);
        self.text.consume(n_read);
        self.made.truncate(n_made);
        self.n_given = 0;
        Ok(())
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.n_given == self.made.len() && !self.is_over {
            self.fill()?;
        }
        let n = buffer.len().min(self.made.len() - self.n_given);
        buffer[..n].copy_from_slice(&self.made[self.n_given..self.n_given + n]);
        self.n_given += n;
        Ok(n)
    }
}

/// Says what a file is that rows are not read from, and what to do; `None` when it may be rows.
pub(super) fn foreign(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins =
        |with: &[u8]| text.len() >= with.len() && text[..with.len()].eq_ignore_ascii_case(with);
    let is_letter = |byte: &u8| byte.is_ascii_graphic();
    let is_of_no_text = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let write_again = "write its rows as JSON lines, CSV or Parquet";
    Some(match head {
        _ if begins(b"version https://git-lfs.github.com/spec/") => (
            "a pointer of Git LFS, which stands for the file",
            "fetch the file itself: `git lfs pull` in its repository",
        ),
        _ if begins(b"<!doctype") || begins(b"<html") || begins(b"<head") || begins(b"<?xml") => (
            "a web page (HTML or XML), as servers send in place of a file",
            "fetch the file again from the address that serves its bytes (`resolve`, `raw`)",
        ),
        [b'P', b'K', 3 | 5 | 7, 4 | 6 | 8, ..] => {
            ("a zip archive", "unpack it (`unzip`), and name the file inside")
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            ("packed with lz4", "unpack it (`lz4 -d`), or pack it with gzip, zstd, bzip2 or xz")
        }
        [0x1f, 0x9d, ..] => ("packed with compress", "unpack it (`uncompress`)"),
        [0x5d, 0, 0, _, _, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => {
            ("packed with lzma", "unpack it (`xz -d --format=lzma`)")
        }
        [0x78, 0x01 | 0x9c | 0xda, ..] => {
            ("packed with zlib alone", "unpack it (`zlib-flate -uncompress`), or pack it with gzip")
        }
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            ("a text in UTF-32", "write it as UTF-8: `iconv -f UTF-32 -t UTF-8`")
        }
        [first, 0, second, 0, ..] if is_letter(first) && is_letter(second) => {
            ("a text in UTF-16 without its mark", "write it as UTF-8: `iconv -f UTF-16LE -t UTF-8`")
        }
        [0, first, 0, second, ..] if is_letter(first) && is_letter(second) => {
            ("a text in UTF-16 without its mark", "write it as UTF-8: `iconv -f UTF-16BE -t UTF-8`")
        }
        [0, 0, 0, 0, ..] => ("zeros, as of a download that was not finished", "fetch it again"),
        [0xff, 0x06, 0, 0, b's', b'N', ..] => {
            ("packed with Snappy", "unpack it, or pack it with gzip, zstd, bzip2 or xz")
        }
        [b'7', b'z', 0xbc, 0xaf, ..] => {
            ("a 7-Zip archive", "unpack it (`7z x`), and name the file inside")
        }
        [b'A', b'R', b'R', b'O', b'W', b'1', 0, ..] | [0xff, 0xff, 0xff, 0xff, ..] => (
            "an Arrow file",
            "write it as Parquet: `pyarrow.parquet.write_table(table, \"rows.parquet\")`",
        ),
        // A text may begin with these letters, too.
        [b'O', b'R', b'C', rest @ ..] if rest.iter().any(is_of_no_text) => {
            ("an ORC file", "write it as Parquet")
        }
        [b'O', b'b', b'j', 1, ..] => ("an Avro file", write_again),
        _ if head.starts_with(b"SQLite format 3\0") => ("an SQLite database", write_again),
        _ if head.starts_with(b"\x89HDF\r\n") => ("an HDF5 file", write_again),
        _ if head.starts_with(b"\x93NUMPY") => ("a NumPy array", write_again),
        _ if head.starts_with(b"%PDF-") => ("a PDF", write_again),
        [0x80, 2..=5, ..] => ("a Python pickle", write_again),
        _ if head.get(257..262) == Some(b"ustar") => {
            ("a tar archive", "unpack it (`tar xf`), and name the file inside")
        }
        _ => return None,
    })
}
