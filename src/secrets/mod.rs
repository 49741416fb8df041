//! Keys, tokens and passwords: what counts as one, and how its text is kept out of all else.

pub mod literal;
pub mod name;
pub mod redact;

use std::fmt;
use std::sync::Arc;

/// What stands where a secret stood.
pub const HIDDEN: &str = "***";

/// A text that is sent where it belongs and shown nowhere.
///
/// It has neither `Display` nor `Serialize`, and its `Debug` form does not hold the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes a text without the white space around it: a file's last newline is part of no key.
    ///
    /// `None` when nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// Returns the text, for the header or the environment it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the number of the first character that an HTTP header cannot carry, from 1.
    ///
    /// Source: RFC 9110, section 5.5; bytes above ASCII are left out because few servers
    /// read them alike.
    pub fn first_unsendable(&self) -> Option<usize> {
        self.0.chars().position(|char| !matches!(char, ' '..='~')).map(|at| at + 1)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({HIDDEN})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_in_its_debug_form() {
        let secret = Secret::new("canary-4711").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), "canary-4711");
    }

    #[test]
    fn white_space_around_a_secret_is_not_part_of_it() {
        assert_eq!(Secret::new(" canary-4711\r\n").unwrap().expose(), "canary-4711");
        assert_eq!(Secret::new(" \n"), None);
    }

    #[test]
    fn what_no_header_can_carry_is_found() {
        let check = |text: &str, at: Option<usize>| {
            assert_eq!(Secret::new(text).unwrap().first_unsendable(), at, "{text:?}");
        };
        check("sk-abc DEF/+=~", None);
        check("first\nsecond", Some(6));
        check("ab\u{e9}", Some(3));
        check("a\u{7f}", Some(2));
    }
}
