//! One record as one line of JSON that carries its own checksum.

use std::fmt::Write as _;

use serde::Serialize;

use crate::secrets::redact::Redactor;

/// The bytes of `,"crc":"xxxxxxxx"}` that close every line.
const SEAL: usize = 18;

/// Appends a record as a line: a JSON object whose last field `crc` is the CRC-32 of all
/// bytes of the line before `,"crc"`.
///
/// Ordinary tools can read the line, and a line that was cut or changed is recognised. The secrets
/// in use are removed from it.
pub(super) fn seal(
    buffer: &mut Vec<u8>,
    record: &impl Serialize,
    redactor: &Redactor,
) -> serde_json::Result<()> {
    let start = buffer.len();
    if let Err(source) = serde_json::to_writer(&mut *buffer, record) {
        buffer.truncate(start);
        return Err(source);
    }
    redactor.json(buffer, start);
    debug_assert!(buffer[start..].starts_with(b"{\""), "records are structs with fields");
    buffer.pop();
    let crc = crc32fast::hash(&buffer[start..]);
    let mut tail = String::with_capacity(SEAL + 1);
    writeln!(tail, r#","crc":"{crc:08x}"}}"#).expect("writing to a String does not fail");
    buffer.extend_from_slice(tail.as_bytes());
    Ok(())
}

/// Checks a line (without its newline) and turns it back into the record's own JSON.
///
/// # Errors
/// One sentence that says what is wrong with the line.
pub(super) fn unseal(line: &mut Vec<u8>) -> Result<(), &'static str> {
    let Some(end) = line.len().checked_sub(SEAL) else {
        return Err("the line is cut short");
    };
    let seal = &line[end..];
    if !seal.starts_with(br#","crc":""#) || !seal.ends_with(br#""}"#) {
        return Err("the line does not end with its checksum");
    }
    let Some(crc) = parse_crc(&seal[8..16]) else {
        return Err("the line's checksum is not a number");
    };
    if crc32fast::hash(&line[..end]) != crc {
        return Err("the line does not match its checksum");
    }
    line.truncate(end);
    line.push(b'}');
    Ok(())
}

/// Parses lower-case digits only, as they are written: another spelling means a changed byte.
fn parse_crc(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |crc: u32, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(crc << 4 | u32::from(value))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sealed(value: &str) -> Vec<u8> {
        let mut buffer = Vec::new();
        seal(&mut buffer, &BTreeMap::from([("text", value)]), &Redactor::default()).unwrap();
        buffer
    }

    #[test]
    fn a_line_is_a_json_object_that_ends_with_its_checksum() {
        let line = sealed("abc");
        // CRC-32 (IEEE 802.3) of `{"text":"abc"`, computed with zlib's crc32.
        insta::assert_snapshot!(
            String::from_utf8(line.clone()).unwrap(),
            @r#"{"text":"abc","crc":"a9ac5692"}"#
        );
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn every_changed_bit_of_a_line_is_noticed() {
        let line = sealed("three little words");
        let whole = &line[..line.len() - 1];
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&mut flipped).is_err(), "bit {bit} was not noticed");
        }
        let mut line = whole.to_vec();
        unseal(&mut line).unwrap();
        assert_eq!(line, br#"{"text":"three little words"}"#);
    }

    #[test]
    fn every_line_that_was_cut_short_is_noticed() {
        let line = sealed("three little words");
        for length in 0..line.len() - 1 {
            assert!(unseal(&mut line[..length].to_vec()).is_err());
        }
    }
}
