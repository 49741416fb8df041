//! Which names say that their value is a secret.

/// Last words of such names: `HF_TOKEN`, `--api-key`, `dbPassword`.
const LAST_WORDS: [&str; 10] = [
    "apikey",
    "authorization",
    "credential",
    "credentials",
    "key",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "token",
];

/// Words that, right in front of the last one, name a part of a text or of a table instead:
/// `eos_token`, `first-token`, `sort_key`.
const HARMLESS: [&str; 23] = [
    "bos",
    "cls",
    "end",
    "eos",
    "first",
    "foreign",
    "image",
    "input",
    "last",
    "mask",
    "next",
    "output",
    "pad",
    "partition",
    "per",
    "primary",
    "prompt",
    "public",
    "sep",
    "sort",
    "special",
    "stop",
    "unk",
];

/// Whether a name says that its value is a secret: a variable, an option, a key of a table.
///
/// Plurals are counts (`max_tokens`), and a `tokenizer` is a model's.
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let Some((last, before)) = words.split_last() else { return false };
    let is_harmless = before.last().is_some_and(|word| HARMLESS.contains(&word.as_str()));
    LAST_WORDS.contains(&last.as_str()) && !is_harmless
}

/// Splits at everything but letters and digits, and where `camelCase` or `HTTPKey` does.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = name.chars().collect();
    for (at, char) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let begins = char.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins || !char.is_alphanumeric() {
            words.push(String::new());
        }
        if char.is_alphanumeric() {
            words.last_mut().expect("there is a first word").extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_says_it() {
        for name in [
            "HF_TOKEN",
            "openai_api_key",
            "DB_PASSWORD",
            "--api-key",
            "X-Api-Key",
            "apiKey",
            "HFToken",
            "token",
            "client-secret",
            "AWS_CREDENTIALS",
            "Authorization",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "TOKENIZERS_PARALLELISM",
            "tokenizer",
            "KEYBOARD",
            "MAX_TOKENS",
            "max_tokens",
            "--max-num-batched-tokens",
            "PATH",
            "monkey",
            "api-key-env",
            "eos_token",
            "first-token",
            "prefill-per-token",
            "",
            "--",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
