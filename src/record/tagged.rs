//! Enums whose text, in files and in scenarios, stands beside each variant.

/// Declares such an enum; a text that it does not know is an error of serde's, with those it does.
macro_rules! tagged {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $tag:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $tag)] $variant,)*
        }

        impl $name {
            /// All tags, in the order of the declaration.
            pub(crate) const TAGS: &[&str] = &[$($tag),*];

            /// Returns its text in files and scenarios.
            pub const fn tag(self) -> &'static str {
                Self::TAGS[self as usize]
            }
        }
    };
}

pub(super) use tagged;
