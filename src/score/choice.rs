//! The forms in which a text gives the letter of a choice.

use std::borrow::Cow;
use std::ops::Range;

use fancy_regex::Regex;

use crate::plan::cell::Take;
use crate::record::golds::QUESTION_CHARS;
use crate::score::next_question::next_question;
use crate::score::pattern::{PatternError, compile, first_meant};
use crate::score::unread::Unread;

/// What may stand in front of a letter: blanks, Markdown, brackets, commands of LaTeX, and words.
const DRESS: &str = r#"(?:[\s*_`"'“‘「【（$({\[:：]|\\[(\[]|\\[a-z]+|<(?:b|strong|em|i)>|(?i:option|choice|letter|clearly|definitely|probably|most|likely|therefore|thus)[\s*_`:])*"#;
/// A letter, and what may stand behind it for it to be no part of a word or a formula: not `C++`,
/// `D'Artagnan`, `F = ma`. "A man" and "I think" are words, so more than a blank is needed behind
/// these.
const LETTER: &str = r#"(?:([B-HJ])(?:[^\w\s\-'’./+&#=]|\s+(?:[^\s=]|$)|_|[\-'’./](?:\W|$)|$)|([AI])(?:[ \t]*(?:$|[\n)\]}*_"`$,;:!?<\\–—(|]|[.\-'](?:\W|$))|\s+(?i:because|since|as|is\s+the)\s))"#;
/// A small letter, which is one only where nothing goes on behind.
const SMALL: &str = r#"([a-j])[)\]}*_.$"'`\\]*[ \t]*(?:$|\n)"#;
/// Words that give an answer.
const MARK: &str = r#"(?i:answer["'*_\s]*(?:\s(?:to|for)\s[^.:\n]+?)?\s*(?:is|are|[:：]|=|\s[-–—]\s|would\s+be|should\s+be|must\s+be)|(?:correct|right|best)\s+(?:option|choice)\s*(?:is|:)|(?:choose|pick|select|go\s+with)[\s*_:])"#;
/// The same in Chinese, Japanese and Korean, where the next word stands right behind the letter.
const HAN_MARK: &str = r"(?:答案|答え|正解|选择?|選択?|정답)(?:应该)?(?:是|为|為|は|은)?";
/// The same in other languages, as far as a model says it in a sentence of its own.
const OTHER_MARK: &str = r"(?i:la\s+respuesta(?:\s+correcta)?\s+es|la\s+réponse(?:\s+correcte)?\s+est|die\s+(?:richtige\s+|korrekte\s+)?antwort\s+(?:ist|lautet)|la\s+risposta(?:\s+corretta)?\s+è|a\s+resposta(?:\s+correta)?\s+é|(?:правильный\s+)?ответ[ \t]*[:–—-])";
/// Names of an answer that are words of their own elsewhere: they give one at the beginning of a line,
/// or as the key of an object.
const LABEL: &str = r#"(?im:^[\s*_#>{"'`]*(?:ans|answer\s+choice|solution|response|choice|final\s+choice)["'*_]*\s*[:：])"#;
/// Words that draw a conclusion.
const CONCLUDES: &str = r"(?:(?:so|thus|hence|therefore)[,:]?\s+(?:it(?:['’]s|\s+is|\s+must\s+be)\s+)?|it(?:['’]s|\s+is|\s+must\s+be)\s+)(?:option\s+|choice\s+)?";
/// Boxes and tags that hold an answer.
const BOX: &str = r"(?:\\f?boxed\s*\{|<answer>|<final_answer>|<\|begin_of_box\|>)";

/// Another letter behind one, as a member of the same list: `A, C`, `(A) and (C)`, not `B, A is wrong`.
const ANOTHER: &str = r#"^[)\]}*_.$"'`\s]*(?:[,;&/、]|and|or|和|或)(?:\s*(?:and|or)\s)?[\s*_`"'($\[]*([A-J])(?:[)\]}*_.,;&$"'`\n]|\s*$|\s+(?:and|or)\s)"#;

/// Two lines that begin with the labels of options, the first two in order, with words behind each.
const OPTIONS: &str = r"(?m)^[\s*_>#•\-]*(?:\d+[.)]\s*)?[\s*_(]*(?i:option\s+|choice\s+|answer\s+)?([AB])[ \t*_]*(?:[).:→–—\-]|\s(?:is|was|can)\s)[)*_ \t:.]*[^\s*]";

/// Finds the letter of a choice.
#[derive(Debug)]
pub(super) struct Choice {
    /// Those that say that a letter is the answer.
    marked: Vec<(Regex, Take)>,
    /// A letter that a text begins with.
    leading: Vec<(Regex, Take)>,
    /// A letter that is all that a line or a sentence says, or stands in brackets.
    closing: Vec<(Regex, Take)>,
    options: Regex,
    another: Regex,
}

impl Choice {
    pub(super) fn new() -> Result<Self, PatternError> {
        let all = |forms: Vec<(String, Take)>| -> Result<Vec<(Regex, Take)>, PatternError> {
            forms.into_iter().map(|(pattern, take)| Ok((compile(&pattern)?, take))).collect()
        };
        Ok(Self {
            marked: all(marked())?,
            leading: all(vec![leading()])?,
            closing: all(closing())?,
            options: compile(OPTIONS)?,
            another: compile(ANOTHER)?,
        })
    }

    /// Returns the letter that a gold is or gives.
    pub(super) fn of_gold(&self, text: &str) -> Option<String> {
        let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
        let letter = match bare.as_bytes() {
            [b'A'..=b'J' | b'a'..=b'j'] => bare.to_owned(),
            _ => self.find(text, &[]).ok().flatten()?,
        };
        Some(letter.to_ascii_uppercase())
    }

    /// Returns the letter that a text gives, in front of the next question before all of it. `offers`
    /// are the texts of the choices, where they are known: a letter beyond them is none.
    ///
    /// # Errors
    /// If it gives several letters as one answer.
    pub(super) fn find(&self, text: &str, offers: &[String]) -> Result<Option<String>, Unread> {
        let narrow = narrow(text);
        let text = narrow.as_ref();
        let before = next_question(text).map_or(text, |end| &text[..end.at]);
        let found = match self.find_in(before, offers)? {
            Some(found) => Some(found),
            None => self.find_in(text, offers)?,
        };
        let Some(found) = found else { return Ok(None) };
        match self.another.captures(&text[found.end..]) {
            Err(_) => Err(Unread::GaveUp),
            Ok(Some(more)) if more.get(1).map(|it| it.as_str()) != Some(&text[found.clone()]) => {
                Err(Unread::Several)
            }
            Ok(_) => Ok(Some(text[found].to_owned())),
        }
    }

    fn find_in(&self, text: &str, offers: &[String]) -> Result<Option<Range<usize>>, Unread> {
        let is_meant = |at: &Range<usize>| is_offered(text, at, offers);
        let is_own = |at: &Range<usize>| is_meant(at) && !is_of_others(text, at);
        if let Some(found) = first_meant(&self.marked, text, &is_own)? {
            return Ok(Some(found));
        }
        if !self.goes_through_options(text)? {
            let found =
                first_meant(&self.leading, text, &|at| is_meant(at) && !is_spoken_of(text, at))?;
            let found = match found {
                Some(found) => Some(found),
                None => first_meant(&self.closing, text, &is_meant)?,
            };
            return Ok(found.or_else(|| before_its_text(text, offers)));
        }
        // There a letter that begins a line, with more behind it, is a label.
        first_meant(&self.closing, text, &|at| is_meant(at) && !is_label(text, at))
    }

    /// Whether a text begins with the first option, and a later line with the second: it tells of one
    /// after the other, and its first letter is no answer.
    fn goes_through_options(&self, text: &str) -> Result<bool, Unread> {
        let mut labels = self.options.captures_iter(text);
        let mut next = || -> Result<Option<(usize, &str)>, Unread> {
            let found = labels.next().transpose().map_err(|_| Unread::GaveUp)?;
            let label = found.and_then(|found| found.get(1));
            Ok(label.map(|label| (label.start(), label.as_str())))
        };
        let begins = next()?.filter(|(at, label)| *label == "A" && is_line_begun(text, *at, 0));
        if begins.is_none() {
            return Ok(false);
        }
        while let Some((_, label)) = next()? {
            if label == "B" {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns a text with plain letters in place of wide ones: `Ｂ`.
fn narrow(text: &str) -> Cow<'_, str> {
    let is_wide = |c: char| matches!(c, 'Ａ'..='Ｊ');
    if !text.contains(is_wide) {
        return Cow::Borrowed(text);
    }
    let plain = |c: char| is_wide(c).then(|| char::from_u32(u32::from(c) - 0xfee0)).flatten();
    Cow::Owned(text.chars().map(|c| plain(c).unwrap_or(c)).collect())
}

/// Whether no letter of a word stands between the line's beginning, from `from` on, and a place.
fn is_line_begun(text: &str, at: usize, from: usize) -> bool {
    let before = text[from..at].trim_start().to_lowercase();
    let words = before.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.into_iter().all(|word| matches!(word, "option" | "choice" | "answer"))
}

/// What a sentence says in front of a letter that is somebody else's answer, or a wrong one.
const OF_OTHERS: [&str; 11] = [
    "second best",
    "second-best",
    "wrong answer",
    "incorrect answer",
    "student answer",
    "student's answer",
    "many say",
    "some say",
    "some might",
    "one might",
    "mistake is",
];

/// Whether the sentence in front of a letter says that it is not what the text answers.
fn is_of_others(text: &str, at: &Range<usize>) -> bool {
    let before = &text[..at.start];
    let from = before.rfind(['.', '!', '?', '\n', ';']).map_or(0, |end| end + 1);
    let before = before[from..].to_lowercase();
    OF_OTHERS.iter().any(|said| before.contains(said))
}

/// Whether a sentence goes on about a letter: "(A) can be ruled out".
fn is_spoken_of(text: &str, at: &Range<usize>) -> bool {
    let next = text[at.end..].trim_start_matches(|c: char| !c.is_alphanumeric());
    let next = next.split(|c: char| !c.is_alphabetic()).next();
    matches!(next, Some("can" | "cannot" | "could"))
}

/// Whether a letter begins a line that goes on behind it.
fn is_label(text: &str, at: &Range<usize>) -> bool {
    let from = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let behind = text[at.end..].split('\n').next().unwrap_or_default();
    is_line_begun(text, at.start, from) && behind.contains(char::is_alphanumeric)
}

/// Words by which a line is a sentence, and no text of a choice.
const VERBS: [&str; 12] =
    ["is", "are", "was", "were", "has", "have", "had", "can", "may", "does", "do", "will"];

/// Whether a letter stands for one of the choices: not beyond them, and no abbreviated name, as in
/// "E. coli is a bacterium".
fn is_offered(text: &str, at: &Range<usize>, offers: &[String]) -> bool {
    let letter = text[at.clone()].to_ascii_uppercase();
    let place = letter.bytes().next().map_or(0, |letter| usize::from(letter - b'A'));
    if offers.len() > 1 && place >= offers.len() {
        return false;
    }
    let line = text[at.end..].split('\n').next().unwrap_or_default();
    // "The answer is (A)? No."
    if line.trim_start_matches([')', '*', '_', '`']).starts_with('?') {
        return false;
    }
    let Some(line) = line.strip_prefix(". ").map(str::trim) else { return true };
    if !text[at.clone()].starts_with(char::is_uppercase) || !line.starts_with(char::is_lowercase) {
        return true;
    }
    let plain = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let own = offers.get(place).map(|own| plain(own)).filter(|own| !own.is_empty());
    if own.is_some_and(|own| plain(line).starts_with(&own)) {
        return true;
    }
    let name = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let name = format!("{letter}. {name}");
    if offers.iter().any(|offer| offer.contains(&name)) {
        return false;
    }
    let is_marked = text[..at.start].contains(char::is_alphabetic);
    is_marked || !line.split(' ').any(|word| VERBS.contains(&word))
}

/// Words that the text of a choice has at most, where the choices are not known.
const CHOICE_WORDS: usize = 5;

/// Returns a letter with nothing but a blank between it and the text of its choice, in a line that
/// says no more: `B Paris`. One line alone may begin so: of several, all are options. Where the
/// choices are not known, their texts are taken to begin with a capital and to be no sentences; "A"
/// and "I" are words there.
fn before_its_text(text: &str, offers: &[String]) -> Option<Range<usize>> {
    let plain = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let is_of_choice = |letter: char, said: &str| match offers {
        [] | [_] => {
            let mut words = said.split_whitespace();
            !matches!(letter, 'A' | 'I')
                && said.starts_with(char::is_uppercase)
                && words.clone().count() <= CHOICE_WORDS
                && !words.any(|word| VERBS.contains(&plain(word).as_str()))
        }
        offers => {
            let (own, whole) = (plain(said), plain(&format!("{letter} {said}")));
            let place = letter as usize - 'A' as usize;
            // "A dog" may be the text of another choice.
            offers.get(place).is_some_and(|offer| plain(offer) == own)
                && offers.iter().all(|offer| plain(offer) != whole)
        }
    };
    let mut at = 0;
    let mut found = text.split_inclusive('\n').filter_map(|line| {
        let begin = at + line.len() - line.trim_start_matches([' ', '*', '_', '`', '>', '-']).len();
        at += line.len();
        let mut chars = text[begin..at].chars();
        let letter = chars.next().filter(|c| matches!(c, 'A'..='J'))?;
        let said = chars.as_str().strip_prefix(' ')?.trim();
        let is_one = !said.is_empty() && is_of_choice(letter, said);
        is_one.then(|| begin..begin + 1)
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Returns the texts of the choices that a question lists, a line each from A on; none where it
/// lists fewer than two, or where it was cut. Of several lists the last counts.
pub(super) fn offered(question: &str) -> Vec<String> {
    let mut offers: Vec<String> = Vec::new();
    if question.chars().count() >= QUESTION_CHARS {
        return offers;
    }
    for line in question.lines() {
        let line = line.trim().trim_start_matches('(');
        let mut chars = line.chars();
        let Some(letter) = chars.next().filter(|c| matches!(c, 'A'..='J')) else { continue };
        let Some(text) = chars.as_str().strip_prefix(['.', ')', ':']) else { continue };
        if !text.starts_with(' ') {
            continue;
        }
        if letter == 'A' {
            offers.clear();
        }
        if offers.len() == letter as usize - 'A' as usize {
            offers.push(text.trim().to_owned());
        }
    }
    if offers.len() < 2 { Vec::new() } else { offers }
}

/// Returns the forms that say that a letter is the answer, the most explicit first. No form has `\b` or
/// looks around, with which a text is no longer read in linear time.
fn marked() -> Vec<(String, Take)> {
    vec![
        (format!("{BOX}{DRESS}{LETTER}"), Take::Last),
        (format!(r"{BOX}{DRESS}([a-j])[)\s.$}}]*(?:\}}|<)"), Take::Last),
        (format!("{MARK}{DRESS}{LETTER}"), Take::Last),
        (format!("{MARK}{DRESS}{SMALL}"), Take::Last),
        (format!("{HAN_MARK}{DRESS}([A-J])(?:[^A-Za-z0-9]|$)"), Take::Last),
        // `(B) is correct`
        (
            r"(?:^|[^\w'’])([A-J])\)?\**\s+(?:is|would\s+be)\s+(?:the\s+)?(?:right|correct|(?:best\s+)?(?:answer|option|choice))(?:\W|$)"
                .to_owned(),
            Take::Last,
        ),
        // `Ans: B`, `Response: B`, at the beginning of a line.
        (format!("{LABEL}{DRESS}{LETTER}"), Take::Last),
        (format!("{OTHER_MARK}{DRESS}{LETTER}"), Take::Last),
    ]
}

/// Returns the form of a letter that a text begins with: `B`, `B.`, `(B) Paris`, `B, because`,
/// `B - Paris`, and not "(A) is wrong".
fn leading() -> (String, Take) {
    let pattern = format!(
        r"^{DRESS}([A-J])(?:[ \t]*(?:$|\n|[–—])|[)\]}}*_$:;]+\s*(?:$|[^\si]|i[^s]|is[^\sn])|\.|,\s|\s-\s|\s+(?:because|since)\s)"
    );
    (pattern, Take::First)
}

/// Returns the forms of a letter that closes what is said.
fn closing() -> Vec<(String, Take)> {
    vec![
        // "Therefore, B.", "so it must be (B)", and no more in that line.
        (
            format!(
                r"(?im)(?:(?:^|[.,!?:]\s+){CONCLUDES}|(?:\s|^)option\s+)[\s*_`$(]*(?-i:([A-J]))[.)*_`$!]*[ \t]*$"
            ),
            Take::Last,
        ),
        // A line of its own, quoted or as an item of a list.
        (
            r#"(?m)^[\s*_`$("'“‘「【（>#•✅👉=\-]*([A-J])[.)*_`$"'”’」】）。!]*[ \t]*$"#.to_owned(),
            Take::Last,
        ),
        (r"\(([A-J])\)".to_owned(), Take::Last),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::plan::cell::ExtractorPlan;
    use crate::score::extract::Extractor;
    use crate::score::thinking::spoken;

    fn check(text: &str, expected: Option<&str>) {
        static CHOICE: LazyLock<Extractor> =
            LazyLock::new(|| Extractor::new(&ExtractorPlan::Choice, None).unwrap());
        assert_eq!(CHOICE.extract(text, &spoken(text)).ok().as_deref(), expected, "{text:?}");
    }

    fn check_among(offers: &[String], text: &str, expected: Option<&str>) {
        let choice = Choice::new().unwrap();
        assert_eq!(choice.find(text, offers).unwrap().as_deref(), expected, "{text:?}");
    }

    #[test]
    fn a_letter_beyond_the_choices_and_that_of_a_name_are_none() {
        let offers = ["a virus", "dry palms", "C. elegans", "the mitochondria"];
        let offers = offers.map(str::to_owned);
        let among = |text: &str, expected: Option<&str>| check_among(&offers, text, expected);
        among("E. coli is a bacterium that lives in the gut. The answer is B.", Some("B"));
        among("E. coli is a bacterium that lives in the gut.", None);
        among("The answer is E. coli", None);
        among("The answer is (E).", None);
        among("The answer is C. elegans", None);
        among("The answer is C. C. elegans", Some("C"));
        among("C. elegans is a worm, so (C)", Some("C"));
        among("B. dry palms", Some("B"));
        among("B. dry palms is what he has", Some("B"));
        among("D. the mitochondria.", Some("D"));
        among("The answer is B. because A is wet", Some("B"));
        // Without a list of them.
        check("E. coli is a bacterium", None);
        check("S. aureus and E. coli are bacteria. The answer is (B)", Some("B"));
        check("B. dry palms", Some("B"));
        check("B. Dry palms are best", Some("B"));
    }

    #[test]
    fn a_letter_stands_before_the_text_of_its_choice() {
        let offers = ["London", "Paris", "A dog", "the hot dog"].map(str::to_owned);
        let among = |text: &str, expected: Option<&str>| check_among(&offers, text, expected);
        among("B Paris", Some("B"));
        among("**B paris.**", Some("B"));
        among("A London", Some("A"));
        among("It is the capital of France.\n\nD the hot dog", Some("D"));
        // That of another choice, the text of one, all of them, and a sentence.
        among("B London", None);
        among("A dog", None);
        among("A London\nB Paris\nC A dog", None);
        among("B Paris is the capital", None);
        check("B Paris", Some("B"));
        check("Let me think.\nC New York City", Some("C"));
        for text in [
            "A dog",
            "A Dog",
            "I Claudius",
            "B vitamins",
            "B Vitamins are good",
            "J Edgar Hoover led the bureau then",
            "B Paris\nC Rome",
            "E=mc",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_choices_are_those_that_a_question_lists() {
        let check = |question: &str, expected: &[&str]| {
            assert_eq!(offered(question), expected, "{question}");
        };
        check("Which?\nA. one\nB. two\nAnswer:", &["one", "two"]);
        check("(A) one\n(B) two\n(C) three", &["one", "two", "three"]);
        check("A. x\nB. y\n\nWhich?\nA. one\nB. two\nC. three\n", &["one", "two", "three"]);
        check("A. thaliana grows.\nA) one\nB) two", &["one", "two"]);
        check("Why is A. better?", &[]);
        check("A. one", &[]);
        check(&format!("A. one\nB. two\n{}", "x".repeat(QUESTION_CHARS)), &[]);
    }

    #[test]
    fn a_choice_is_a_letter_that_is_meant_as_one() {
        check("A bat. The answer is (C).", Some("C"));
        check("B", Some("B"));
        check("B) because", Some("B"));
        check("A bat and a ball", None);
        check("not (A) but (D)", Some("D"));
        check("Answer: **E**", Some("E"));
        check("The best answer is b.", Some("b"));
        check("The best answer isB", Some("B"));
        check("The answer is a bat", None);
    }

    #[test]
    fn a_letter_is_read_in_every_form_in_which_models_give_one() {
        for text in [
            "B",
            " B",
            "(B)",
            "**B**",
            "B.",
            "B) because",
            "(B) Paris",
            "**B. Paris**",
            "B: Paris",
            "B, because it is",
            "B - Paris",
            "B – Paris",
            "B because it is",
            "$B$",
            r"\textbf{B}",
            "B\n\nExplanation: A is wrong.",
            "Paris is (A)'s capital.\n\nB",
            "Answer: B",
            "**Answer:** B",
            "**Answer**: B",
            "**Answer: B**",
            "Answer: $B$",
            "Answer: (B) Paris",
            "Answer:\n\nB",
            "Final answer: B.",
            "A bat. The answer is (B).",
            "The answer is: B",
            "The answer is:\n\n**B**",
            "The answer is option B.",
            "The answer is clearly B",
            "The answer is B because A is wrong",
            "The answer is B Paris",
            "The answer to the question is B.",
            "The correct answer would be (B)",
            "The correct option is B",
            "The best choice is: B",
            "I would go with option B.",
            r"\boxed{B}",
            r"The answer is $\boxed{\text{B}}$",
            r"$\boxed{\mathrm{(B)}}$",
            r"\boxed{\text{B. Paris}}",
            "<answer>B</answer>",
            "<answer>\nB. Paris\n</answer>",
            "<|begin_of_box|>B<|end_of_box|>",
            r#"{"answer": "B"}"#,
            "(A) is wrong, (B) is right.",
            "(B) is right, (A) is wrong.",
            "Option B is correct, as A is not",
            "not (A) but (B)",
            "The answer is not A. The answer is B",
            "<think>the answer is (A)</think>B",
            "Answer - B",
            "Answer — B) Paris",
            "答案：B",
            "答案是B。",
            "正确答案是（B）",
            "故选B",
            "选项A错误，所以选B项",
            "答えはBです",
            "정답은 B입니다.",
            "'B'",
            "“B”",
            "「B」",
            "- B",
            "> B",
            "# B",
            "B!",
            "✅ **B**",
        ] {
            check(text, Some("B"));
        }
        for text in ["A", "A.", "Answer: A", "Answer: A - Paris", "The answer is A.", "(A) Paris"] {
            check(text, Some("A"));
        }
        check("The answer is A because I say so", Some("A"));
        for text in
            ["The best answer is b.", "Answer: **b**", "answer: (b)\n\nAs I say", r"\boxed{b}"]
        {
            check(text, Some("b"));
        }
    }

    #[test]
    fn the_next_question_that_a_model_asks_itself_is_not_read() {
        for text in [
            "The answer is B.\n\nQuestion: Next?\nA. x\nB. y\nAnswer: A",
            "B\n\nQuestion: Next?\nAnswer: A",
            "(B)\nQ: Next?\nA: (A)",
            "B<|im_end|>\n<|im_start|>user\nThe answer is A",
            "B</s>\nAnswer: A",
            // Told again, as nothing is answered before.
            "Question: which?\nAnswer: B",
            "I read it first.\n\nQuestion: which?\nA. x\nB. y\nThe answer is B.",
        ] {
            check(text, Some("B"));
        }
    }

    #[test]
    fn a_text_that_goes_through_the_options_does_not_answer_with_its_first_label() {
        let ways = [
            "A) London: incorrect.\nB) Paris: correct.\nC) Rome: incorrect.\n",
            "(A) London is wrong.\n(B) Paris is right.\n\n",
            "Option A: no.\nOption B: yes.\n",
            "**A) London** – in the UK.\n**B) Paris** – yes.\n",
            "1. A: no\n2. B: yes\n",
        ];
        for way in ways {
            for end in ["Therefore, B", "**B**", "B", "So it must be B.", "Paris it is: option B"] {
                check(&format!("{way}{end}"), Some("B"));
            }
            check(way, None);
        }
        for text in ["A\n\nB is wrong.", "A, because\nB is wrong", "A) Paris", "A. Paris\nIt is."] {
            check(text, Some("A"));
        }
        check("(A) can be ruled out. (C) too.\n**B**", Some("B"));
        check("B) Paris\n\nA) London is wrong.\nC) Rome is wrong.", Some("B"));
    }

    #[test]
    fn a_letter_is_read_behind_other_names_of_an_answer() {
        for text in [
            "Ans: B",
            "Solution: B",
            "**Response:** (B)",
            "Answer choice: B",
            r#"{"choice": "B"}"#,
            "{'answer': 'B'}",
            "So B.",
            "It must be B.",
            "The capital is Paris, which is option B.",
            "The answer is <b>B</b>",
            "Ｂ",
            "（Ｂ）",
            "👉 B",
            "La respuesta correcta es B.",
            "Die richtige Antwort ist B.",
            "Ответ: B",
            "The answer is (A)? No: (B).",
            "The best answer is B. The second best answer is A.",
            "Many say the answer is A, but they are wrong. B is correct.",
            "The correct answer is B. Student answer: A",
        ] {
            check(text, Some("B"));
        }
        for text in ["a solution: B12", "So be it.", "Vitamin C"] {
            check(text, None);
        }
    }

    #[test]
    fn several_letters_are_no_choice() {
        for text in [
            "A, C",
            "The answer is A, B",
            "Answer: (A) and (C)",
            "B or D.",
            "**A** & **B**",
            "A, B, and C",
        ] {
            check(text, None);
        }
        for text in
            ["B, A is wrong", "The answer is B, and A is not", "B, B", "B, and nothing else"]
        {
            check(text, Some("B"));
        }
    }

    #[test]
    fn a_letter_that_is_a_word_or_a_part_of_one_is_none() {
        for text in [
            "",
            "none",
            "b",
            "A bat and a ball",
            "I think so",
            "Answer: A man",
            "The answer is A lot of things",
            "The answer is a bat",
            "The answer is I don't know",
            "The answer is I'm not sure",
            "The answer is C++",
            "The answer is B12",
            "Answer: D'Artagnan",
            "Answer: E-mail",
            "Answer: C/C++",
            "Answer: F = ma",
            "Answer: C=5",
            "Answer: Berlin",
            r"\boxed{\text{A man}}",
            "<answer>A man</answer>",
        ] {
            check(text, None);
        }
    }
}
