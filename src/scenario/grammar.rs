//! The vocabulary in which the types of `scenario::spec` say what a scenario may hold.
//!
//! [`table!`] and [`words!`] declare a type and its grammar in one: the checker, "did you mean",
//! `bench schema` and the test of `defaults.toml` read the grammar; the plan reads the type.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::record::event::FailureClass;
use crate::record::gauge::Gauge;
use crate::scenario::toml_tree::Data;
use crate::units::Nanos;

/// One key that a table may have.
#[derive(Debug)]
pub(crate) struct Field {
    /// The key, in kebab case.
    pub(crate) key: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// Whether a scenario may do without it; else `defaults.toml` or the scenario has it.
    pub(crate) optional: bool,
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
    /// One of a few words, with what each means.
    Choice(&'static [&'static str], &'static [&'static str]),
    /// Any string without NUL; these words have a meaning of their own.
    Said(&'static [&'static str], &'static [&'static str]),
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
    /// A table with any of these keys, all of one kind.
    MapOf(&'static [&'static str], &'static Kind),
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
    /// Returns a value of this kind. It stands in for a mistake, so that the checks go on
    /// beyond it.
    pub(crate) fn stand_in(&self) -> Data {
        match self {
            Self::Text | Self::Said(..) | Self::Scalar | Self::Anything => {
                Data::Text(String::new())
            }
            Self::Bool => Data::Bool(false),
            Self::Integer(min, _) => Data::Integer(*min),
            Self::Above(_, max) => Data::Float(*max),
            Self::Number(min, _) => Data::Float(min.max(-1e9)),
            Self::Duration => Data::Text("1s".into()),
            Self::Choice(words, _) => Data::Text(words.first().copied().unwrap_or_default().into()),
            Self::List(_) => Data::List(Vec::new()),
            Self::Table(_)
            | Self::Named(..)
            | Self::Map(_)
            | Self::MapOf(..)
            | Self::Engine
            | Self::Profile => Data::Table(Vec::new()),
            Self::Either(kinds) => kinds.first().map_or(Data::Bool(false), Self::stand_in),
        }
    }

    /// Returns the expected value, in the words of messages.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text | Self::Said(..) => "a string".into(),
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
            Self::Choice(words, _) => {
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
            Self::Map(_) | Self::MapOf(..) | Self::Engine | Self::Profile => "a table".into(),
            Self::Either(kinds) => {
                kinds.iter().map(Self::expected).collect::<Vec<_>>().join(", or ")
            }
            Self::Anything => "any value".into(),
        }
    }
}

/// A type that says which values of a scenario it is read from.
pub(crate) trait Grammar {
    /// What its value may be.
    const KIND: Kind;
    /// Whether it may be absent.
    const OPTIONAL: bool = false;
}

macro_rules! grammar {
    ($($ty:ty = $kind:expr),* $(,)?) => {
        $(impl Grammar for $ty { const KIND: Kind = $kind; })*
    };
}

grammar! {
    String = Kind::Text,
    bool = Kind::Bool,
    u32 = Kind::Integer(0, u32::MAX as i64),
    u64 = Kind::Integer(0, i64::MAX),
    f64 = Kind::Number(f64::NEG_INFINITY, f64::INFINITY),
    Nanos = Kind::Duration,
    toml::Value = Kind::Anything,
    toml::Table = Kind::Map(&Kind::Anything),
    serde_json::Value = Kind::Anything,
    minijinja::Value = Kind::Anything,
}

impl<T: Grammar> Grammar for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
}

impl<T: Grammar> Grammar for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
}

impl<T: Grammar> Grammar for BTreeMap<String, T> {
    const KIND: Kind = Kind::Map(&T::KIND);
}

impl<T: Grammar> Grammar for IndexMap<String, T> {
    const KIND: Kind = Kind::Map(&T::KIND);
}

impl<T: Grammar> Grammar for IndexMap<FailureClass, T> {
    const KIND: Kind = Kind::MapOf(FailureClass::TAGS, &T::KIND);
}

/// Our names of what an engine's metrics endpoint tells.
impl<T: Grammar> Grammar for IndexMap<Gauge, T> {
    const KIND: Kind = Kind::MapOf(Gauge::OF_ENGINE, &T::KIND);
}

/// Declares a table of a scenario: a struct for serde, and its keys as [`Field`]s.
///
/// A field is `/// meaning` and `name [serde attributes]: Type = kind,`. The key is the name in
/// kebab case, the meaning is its documentation everywhere, and the kind, when it is left out,
/// is the type's own.
macro_rules! table {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[doc = $doc:literal])+
          $field_vis:vis $key:ident $([$($serde:tt)+])?: $ty:ty $(= $kind:expr)?),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[doc = $doc])+ $(#[serde($($serde)+)])? $field_vis $key: $ty,)*
        }

        impl $name {
            /// Its keys, in the order of the declaration.
            pub(crate) const FIELDS: &[$crate::scenario::grammar::Field] = &[
                $($crate::scenario::grammar::Field {
                    key: {
                        const KEY: [u8; stringify!($key).len()] =
                            $crate::scenario::grammar::kebab(stringify!($key));
                        match std::str::from_utf8(&KEY) {
                            Ok(key) => key,
                            Err(_) => panic!("a key is ASCII"),
                        }
                    },
                    kind: $crate::scenario::grammar::kind_of!($ty $(, $kind)?),
                    optional: <$ty as $crate::scenario::grammar::Grammar>::OPTIONAL
                        $(|| $crate::scenario::grammar::may_be_absent(stringify!($($serde)+)))?,
                    doc: concat!($($doc),+).split_at(1).1,
                }),*
            ];
        }

        impl $crate::scenario::grammar::Grammar for $name {
            const KIND: $crate::scenario::grammar::Kind =
                $crate::scenario::grammar::Kind::Table(Self::FIELDS);
        }
    };
}

macro_rules! kind_of {
    ($ty:ty) => {
        <$ty as $crate::scenario::grammar::Grammar>::KIND
    };
    ($ty:ty, $kind:expr) => {
        $kind
    };
}

/// Declares a choice of words: an enum, its words, and serde by them.
///
/// A variant is `/// meaning` and `Name = "word"`; `Name = "word" / "stored"` where run
/// directories have another word.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[doc = $doc:literal])+ $(#[default $($is_default:tt)?])?
          $variant:ident = $word:literal $(/ $stored:literal)?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[doc = $doc])+ $(#[default $($is_default)?])? $variant,)*
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// All words, in the order of the declaration.
            pub(crate) const WORDS: &[&str] = &[$($word),*];

            /// What each of them means.
            pub(crate) const MEANINGS: &[&str] = &[$(concat!($($doc),+).split_at(1).1),*];

            /// Returns its word in a scenario.
            pub(crate) const fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }

            const fn stored(self) -> &'static str {
                match self {
                    $(Self::$variant => $crate::scenario::grammar::last!($word $(, $stored)?),)*
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.stored())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                let is_meant = |one: &&Self| [one.word(), one.stored()].contains(&text.as_str());
                Self::ALL.iter().find(is_meant).copied().ok_or_else(|| {
                    <D::Error as serde::de::Error>::unknown_variant(&text, Self::WORDS)
                })
            }
        }

        impl $crate::scenario::grammar::Grammar for $name {
            const KIND: $crate::scenario::grammar::Kind =
                $crate::scenario::grammar::Kind::Choice(Self::WORDS, Self::MEANINGS);
        }
    };
}

macro_rules! last {
    ($only:literal) => {
        $only
    };
    ($word:literal, $stored:literal) => {
        $stored
    };
}

pub(crate) use {kind_of, last, table, words};

/// Returns the key of a field: `max_tokens` is written `max-tokens`.
pub(crate) const fn kebab<const N: usize>(name: &str) -> [u8; N] {
    let mut key = [0; N];
    let mut at = 0;
    while at < N {
        let letter = name.as_bytes()[at];
        key[at] = if letter == b'_' { b'-' } else { letter };
        at += 1;
    }
    key
}

/// Whether these serde attributes take an absent key for an empty one.
pub(crate) const fn may_be_absent(attributes: &str) -> bool {
    let (text, word) = (attributes.as_bytes(), b"default");
    let mut at = 0;
    while at < word.len() {
        if at >= text.len() || text[at] != word[at] {
            return false;
        }
        at += 1;
    }
    true
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
