//! Text of a known number of words, for prompts whose tokenizer nobody gave.

use rand::{Rng as _, rngs::ChaCha8Rng};

/// Common English words, 256 of them: one byte draws one. Each is one token, behind a space and
/// without, in the vocabularies p50k, cl100k and o200k (counted with gpt-tokenizer 3.4.0).
const WORDS: &str = "\
    able about above act add after again age ago air all almost along also always and animal \
    answer any area arm around art ask away baby back bad bank base bear beat bed before best \
    better between big bird black blue board boat body book born both bottom box boy bring brown \
    build built business buy call capital car card care carry case catch cause cell center chair \
    change check child children church circle city class clean clear close cloth cloud cold \
    color come common complete cool copy corn correct cost could count country course cover cow \
    create cross cry current cut dark day dead deal death deep degree depend design did direct \
    doctor dog door double down draw dream dress drive drop dry during each early earth east eat \
    edge effect egg eight either electric element else end enemy energy engine enter equal even \
    event ever every example eye face fact fair fall family far farm fast father feed feel fell \
    felt few field fight figure fill final find fine finger fire first fish fit five flat floor \
    flow flower fly follow food foot force forest form forward found four free fresh friend \
    front fruit full fun game gas general get girl give glass gold good got grand grass gray \
    great green ground group grow guide gun hair half hand happy hard has hat head heard heart \
    heat heavy held help her here high hill him his history hit hold hole home horse hot hour \
    house how human hunt ice land large last late law";

/// Words of a salt: 64 bits, so that no two are alike.
const SALT_WORDS: u32 = 8;

/// Draws that many words, by their numbers in the list.
pub(crate) fn draw(n: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
    (0..n).map(|_| rng.next_u32() >> 24).collect()
}

/// Returns the text of drawn words, with a space between two.
pub(crate) fn spelled(drawn: &[u32]) -> String {
    let words: Vec<&str> = WORDS.split(' ').collect();
    drawn.iter().map(|number| words[*number as usize]).collect::<Vec<_>>().join(" ")
}

/// Draws what makes a prompt unlike any other: a sentence of as many tokens each time, where a
/// word is a token. It stays on the prompt's first line, as some servers read only one.
pub(crate) fn salt(rng: &mut ChaCha8Rng) -> String {
    spelled(&draw(SALT_WORDS, rng)) + ". "
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn a_byte_draws_each_word_and_no_word_is_there_twice() {
        assert_eq!(WORDS.split(' ').collect::<HashSet<_>>().len(), 256);
        assert!(WORDS.bytes().all(|byte| byte == b' ' || byte.is_ascii_lowercase()));
    }

    #[test]
    fn texts_have_the_words_that_are_asked_for() {
        let mut rng = Seed(1).stream("test");
        let mut text = |n| spelled(&draw(n, &mut rng));
        assert_eq!(text(0), "");
        assert_eq!(text(1).split(' ').count(), 1);
        assert_eq!(text(512).split(' ').count(), 512);
        let salts: HashSet<_> = (0..1_000).map(|_| salt(&mut rng)).collect();
        assert_eq!(salts.len(), 1_000);
        assert!(salts.iter().all(|salt| salt.split_whitespace().count() == 8));
    }
}
