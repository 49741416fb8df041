//! Names of cells: every swept key, injective, safe as the name of a directory.

use indexmap::IndexMap;

use crate::ids::sha256_hex;

/// Longest name. Directories allow 255 bytes; run directories put suffixes behind.
const MAX_BYTES: usize = 120;

/// Returns `engine=tiny,precision=fp16`. Other characters are written as `%` and two
/// hexadecimal digits; a name that would be too long ends in `~` and a hash of all of it.
pub(crate) fn cell_name(keys: &IndexMap<String, String>) -> String {
    let parts: Vec<String> =
        keys.iter().map(|(key, value)| format!("{}={}", plain(key), plain(value))).collect();
    let name = parts.join(",");
    if name.len() <= MAX_BYTES {
        return name;
    }
    with_hash(&name[..MAX_BYTES - 13], &name)
}

/// Returns a name that differs from another one in more than its case.
pub(crate) fn with_hash(stem: &str, name: &str) -> String {
    let mut digest = sha256_hex(name.as_bytes());
    digest.truncate(12);
    format!("{stem}~{digest}")
}

fn plain(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'+' => {
                name.push(char::from(byte));
            }
            other => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                let digits = [DIGITS[usize::from(other >> 4)], DIGITS[usize::from(other & 15)]];
                name.push('%');
                name.extend(digits.map(char::from));
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn a_name_shows_every_key() {
        let name = cell_name(&keys(&[("engine", "vllm"), ("model", "org/a b"), ("rate", "2.5")]));
        assert_eq!(name, "engine=vllm,model=org%2Fa%20b,rate=2.5");
    }

    proptest! {
        #[test]
        fn names_are_injective_short_and_safe(
            a in prop::collection::btree_map("[a-z.-]{1,6}", "\\PC{0,60}", 1..4),
            b in prop::collection::btree_map("[a-z.-]{1,6}", "\\PC{0,60}", 1..4),
        ) {
            let name = |map: &BTreeMap<String, String>| {
                cell_name(&map.clone().into_iter().collect())
            };
            prop_assert_eq!(a == b, name(&a) == name(&b));
            for name in [name(&a), name(&b)] {
                prop_assert!(name.len() <= MAX_BYTES);
                prop_assert!(name.bytes().all(|c| c.is_ascii_graphic() && c != b'/' && c != b'"'));
                prop_assert!(!name.starts_with('-') || name.contains('='));
            }
        }
    }
}
