//! Names of things, stable across reruns.

use std::fmt;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The identity of a cell: a hash of everything that shapes what it measures.
///
/// Twelve hexadecimal digits. Two runs of the same scenario give the same ids; a changed
/// flag, prompt template, data set or seed gives another.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct CellId(pub String);

/// The identity of an engine launch: a hash of its argv, environment and readiness.
///
/// Cells with the same `LaunchId` share one engine start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaunchId(pub String);

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for LaunchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Returns the SHA-256 of `bytes` in lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns a text in which each SHA-256 is told by that name and its first twelve digits, as people
/// compare them.
pub fn with_short_digests(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let mut short = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_digit(c)) {
        let digits = piece.trim_end_matches(|c| !is_digit(c));
        if digits.len() == 64 {
            short.extend(["SHA-256 ", &digits[..12], "…", &piece[digits.len()..]]);
        } else {
            short.push_str(piece);
        }
    }
    short
}

/// Copies all that there is to read, and adds it to a digest; returns how many bytes it was.
///
/// # Errors
/// When either side fails.
pub fn copy_digested(
    mut from: impl Read,
    to: &mut impl Write,
    hasher: &mut Sha256,
) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut n_bytes = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(n_bytes),
            n => {
                hasher.update(&buffer[..n]);
                to.write_all(&buffer[..n])?;
                n_bytes += n as u64;
            }
        }
    }
}

/// Returns the first twelve digits of the SHA-256 of a value's JSON text.
///
/// The value must be a type with declared field order (never a `serde_json::Value`, whose
/// key order depends on a feature of another crate).
pub fn content_hash(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("plan types have string keys and finite numbers");
    let mut digest = sha256_hex(&json);
    digest.truncate(12);
    digest
}

/// Returns lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_first_digits_of_sha256() {
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        assert!(sha256_hex(b"abc").starts_with("ba7816bf8f01"));
        assert_eq!(content_hash(&"abc").len(), 12);
        assert_ne!(content_hash(&"abc"), content_hash(&"abd"));
    }

    #[test]
    fn a_digest_is_told_by_its_name_and_as_many_digits_as_are_compared() {
        let digest = sha256_hex(b"abc");
        let check = |text: &str, expected: &str| assert_eq!(with_short_digests(text), expected);
        check(&digest, "SHA-256 ba7816bf8f01…");
        let sized = format!("{digest} (of the size)");
        check(&sized, "SHA-256 ba7816bf8f01… (of the size)");
        check(
            &format!("2.6.0 {digest}, {digest}"),
            "2.6.0 SHA-256 ba7816bf8f01…, SHA-256 ba7816bf8f01…",
        );
        check("cafe 40ms", "cafe 40ms");
        check(&format!("{digest}0"), &format!("{digest}0"));
    }
}
