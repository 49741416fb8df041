//! The vocabulary in which the grammar of a scenario is written down.

/// One key that a table may have.
#[derive(Debug)]
pub(crate) struct Field {
    /// The key, in kebab case.
    pub(crate) key: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// One sentence for editors and for `bench schema`.
    pub(crate) doc: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Any string without NUL.
    Text,
    /// `true` or `false`.
    Bool,
    /// An integer between two bounds, both included.
    Integer(i64, i64),
    /// A finite number above the first bound and at most the second.
    Above(f64, f64),
    /// A finite number between two bounds, both included.
    Number(f64, f64),
    /// A length of time in a string: `250ms`, `90s`, `1h 30m`.
    Duration,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A string, a number or a truth value.
    Scalar,
    /// A list of one kind.
    List(&'static Kind),
    /// A table with known keys.
    Table(&'static [Field]),
    /// A table whose keys are names of the user's choice: what one is called, and its kind.
    Named(&'static str, &'static Kind),
    /// A table with any keys.
    Map(&'static Kind),
    /// An engine: known keys, and the flags of its preset.
    Engine,
    /// A profile: the keys of a scenario again.
    Profile,
    /// Several forms; the first whose TOML type fits is meant.
    Either(&'static [Kind]),
    /// Anything that TOML can say.
    Anything,
}

impl Kind {
    /// Returns what is expected, as messages say it.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Bool => "`true` or `false`".into(),
            Self::Integer(min, i64::MAX) => format!("an integer of at least {min}"),
            Self::Integer(min, max) => format!("an integer from {min} to {max}"),
            Self::Above(min, max) if max.is_infinite() => format!("a number above {min}"),
            Self::Above(min, max) => format!("a number above {min} and at most {max}"),
            Self::Number(min, max) if max.is_infinite() => format!("a number of at least {min}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Duration => {
                "a length of time such as \"250ms\", \"90s\" or \"1h 30m\"".to_string()
            }
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                match quoted.as_slice() {
                    [only] => only.clone(),
                    _ => format!("one of {}", quoted.join(", ")),
                }
            }
            Self::Scalar => "a string, a number or a truth value".into(),
            Self::List(of) => format!("a list of which each is {}", of.expected()),
            Self::Table(fields) => {
                let keys: Vec<String> = fields.iter().map(|f| format!("`{}`", f.key)).collect();
                format!("a table with {}", keys.join(", "))
            }
            Self::Named(what, _) => format!("a table of named {what}s"),
            Self::Map(_) | Self::Engine | Self::Profile => "a table".into(),
            Self::Either(kinds) => {
                kinds.iter().map(Self::expected).collect::<Vec<_>>().join(", or ")
            }
            Self::Anything => "any value".into(),
        }
    }
}

/// Longest name of an engine, data set, score, phase or profile.
pub(crate) const MAX_NAME: usize = 48;

/// Whether a name may become part of directory and metric names.
pub(crate) fn is_name(name: &str) -> bool {
    let first_is_plain =
        name.as_bytes().first().is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
    first_is_plain
        && name.len() <= MAX_NAME
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'))
        && !name.contains("..")
}
