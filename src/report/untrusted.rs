//! Makes text from outside (engines, models, files) safe to stand in a line of a report.
//!
//! Each face escapes for its own format on top of this; what is done here no face can do
//! afterwards: nothing that moves a cursor, hides text or reverses its order is left.

/// Longest text of one line, in characters.
pub(crate) const LINE_MAX: usize = 400;

/// Returns `text` as one line: white space collapsed, control and direction characters shown
/// as escapes, cut at [`LINE_MAX`] characters.
pub(crate) fn line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut n_chars = 0;
    let mut in_space = true;
    for character in text.chars() {
        if n_chars == LINE_MAX {
            clean.push('…');
            break;
        }
        if character.is_whitespace() {
            if !in_space {
                clean.push(' ');
                n_chars += 1;
            }
            in_space = true;
            continue;
        }
        in_space = false;
        n_chars += 1;
        if is_treacherous(character) {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    clean.truncate(clean.trim_end().len());
    clean
}

/// Whether a character changes how other characters are shown, or shows nothing.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{00ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_turns_text_round_is_left() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected);
        check("plain ümläut 漢字", "plain ümläut 漢字");
        check("two\nlines\t and  more ", "two lines and more");
        check("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m");
        check("abc\u{202e}fed", "abc\\u{202e}fed");
        check("\u{9b}31m", "\\u{9b}31m");
        check("", "");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let clean = line(&"x".repeat(LINE_MAX + 1));
        assert_eq!(clean.chars().count(), LINE_MAX + 1);
        assert!(clean.ends_with('…'));
    }
}
