//! Keeps keys and passwords out of what is shown.
//!
//! Those who record already leave secrets out; a report is passed on, so it looks again.

/// What stands for a secret.
const HIDDEN: &str = "<hidden>";

/// Endings of option names whose value is a secret. Plural names (`--max-tokens`) are counts.
const SECRET_ENDINGS: [&str; 5] = ["-key", "-token", "-secret", "-password", "-passwd"];

/// Returns a command line with the values of secret options hidden.
pub fn argv(argv: &[String]) -> Vec<String> {
    let mut is_next_secret = false;
    argv.iter()
        .map(|argument| {
            if std::mem::replace(&mut is_next_secret, false) && !argument.starts_with("--") {
                return HIDDEN.to_owned();
            }
            match argument.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
                None if is_secret(argument) => {
                    is_next_secret = true;
                    argument.clone()
                }
                _ => url(argument),
            }
        })
        .collect()
}

fn is_secret(name: &str) -> bool {
    name.starts_with("--") && SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Returns text with user and password of every URL in it hidden.
pub fn url(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(['/', '?', '#', ' ', '\'', '"']).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(host) => {
                shown.push_str(HIDDEN);
                &after[host..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_options_lose_their_values_and_others_keep_them() {
        let check = |given: &[&str], expected: &[&str]| {
            let given: Vec<String> = given.iter().map(ToString::to_string).collect();
            assert_eq!(argv(&given), expected);
        };
        check(&["--api-key", "s3cret", "--port", "1"], &["--api-key", "<hidden>", "--port", "1"]);
        check(&["--hf-token=s3cret"], &["--hf-token=<hidden>"]);
        check(&["--max-num-batched-tokens", "8192"], &["--max-num-batched-tokens", "8192"]);
        check(&["--tokenizer", "x"], &["--tokenizer", "x"]);
        check(&["--api-key", "--port"], &["--api-key", "--port"]);
        check(&["--url=http://u:p@h/x"], &["--url=http://<hidden>@h/x"]);
    }

    #[test]
    fn urls_lose_user_and_password() {
        let check = |text: &str, expected: &str| assert_eq!(url(text), expected);
        check("https://user:pass@host:1/a@b", "https://<hidden>@host:1/a@b");
        check("https://host/a?b=c@d", "https://host/a?b=c@d");
        check("a http://u@h and http://v:w@i/", "a http://<hidden>@h and http://<hidden>@i/");
        check("://", "://");
    }
}
