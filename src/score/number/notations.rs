//! LaTeX, Markdown, HTML and Unicode forms of a number, brought to one.

/// A place at which LaTeX closed or opened a group: nothing to read, and no digit joins across.
pub(super) const BREAK: char = '\u{1}';
/// Begins a fraction that may be the part of a mixed number.
pub(super) const FRACTION: char = '\u{2}';
/// Stands for what has a value and is no number: a root, a fraction of formulas.
pub(super) const FORMULA: char = '\u{4}';
/// Begins the digits behind a decimal point that come again and again.
pub(super) const RECURRING: char = '\u{5}';
/// Any space that is not the plain one; such a space between digits groups them.
pub(super) const THIN: char = '\u{2009}';

/// Characters in which a bracket of an address or an operand is closed.
const REACH: usize = 2_000;
/// Groups inside groups that are still read.
const MAX_DEPTH: usize = 8;
/// Zeros of the decimal digits that people write besides ASCII's: Arabic, Persian, Devanagari,
/// Bengali, Thai, and bold mathematical.
const ZEROS: [u32; 6] = [0x0660, 0x06f0, 0x0966, 0x09e6, 0x0e50, 0x1d7ce];
/// Vulgar fractions of Unicode.
const VULGAR: [(char, &str); 18] = [
    ('½', "1/2"),
    ('⅓', "1/3"),
    ('⅔', "2/3"),
    ('¼', "1/4"),
    ('¾', "3/4"),
    ('⅕', "1/5"),
    ('⅖', "2/5"),
    ('⅗', "3/5"),
    ('⅘', "4/5"),
    ('⅙', "1/6"),
    ('⅚', "5/6"),
    ('⅛', "1/8"),
    ('⅜', "3/8"),
    ('⅝', "5/8"),
    ('⅞', "7/8"),
    ('⅐', "1/7"),
    ('⅑', "1/9"),
    ('⅒', "1/10"),
];
const SUPERSCRIPTS: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
/// HTML's names for what stands in and around numbers.
const ENTITIES: [(&str, char); 7] = [
    ("&nbsp;", THIN),
    ("&thinsp;", THIN),
    ("&#160;", THIN),
    ("&#8239;", THIN),
    ("&minus;", '-'),
    ("&#8722;", '-'),
    ("&euro;", '€'),
];

/// LaTeX's functions: what stands behind them is no value of its own.
const FUNCTIONS: [&str; 27] = [
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh",
    "log", "ln", "lg", "exp", "max", "min", "gcd", "lcm", "det", "dim", "deg", "lim", "sum",
    "prod", "int",
];
/// Its Greek letters, which stand for values; `\mu` is a part of units.
const GREEK: [&str; 22] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "nu",
    "xi",
    "pi",
    "rho",
    "sigma",
    "tau",
    "phi",
    "varphi",
    "psi",
    "omega",
];
/// How the address of a web page begins.
const ADDRESSES: [&str; 3] = ["http://", "https://", "www."];

/// Returns a text in which numbers have ASCII digits, a plain minus, and no markup.
pub(in crate::score) fn plain(text: &str) -> Vec<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::with_capacity(chars.len());
    translate(&chars, &mut out, 0);
    out
}

fn translate(text: &[char], out: &mut Vec<char>, depth: usize) {
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        at += match c {
            '\\' => command(&text[at..], out, depth),
            // `9{,}500`: braces keep TeX from setting a space behind the comma.
            '{' if matches!(text.get(at + 1..at + 3), Some([',' | '.', '}'])) => {
                out.extend(text.get(at + 1).filter(|c| **c != '}'));
                3
            }
            '{' | '}' => {
                out.push(BREAK);
                1
            }
            '~' => {
                out.push(THIN);
                1
            }
            '&' => entity(&text[at..], out),
            '√' | '∛' | '∜' => {
                out.push(FORMULA);
                1 + operand(&text[at + 1..])
            }
            'h' | ']' | 'w' if address(&text[at..]) > 0 => {
                out.extend([c, BREAK].into_iter().filter(|c| matches!(*c, ']' | BREAK)));
                address(&text[at..])
            }
            _ => {
                character(c, out);
                1
            }
        };
    }
}

fn entity(text: &[char], out: &mut Vec<char>) -> usize {
    let known = ENTITIES
        .iter()
        .find(|(name, _)| name.chars().enumerate().all(|(place, c)| text.get(place) == Some(&c)));
    if let Some((name, meant)) = known {
        out.push(*meant);
        name.len()
    } else {
        out.push('&');
        1
    }
}

/// Returns how many characters of an address stand there, of a Markdown link with the bracket of
/// its text; 0 where none does.
fn address(text: &[char]) -> usize {
    let begins = |text: &[char], what: &str| {
        what.chars().enumerate().all(|(place, c)| text.get(place) == Some(&c))
    };
    let is_address = |text: &[char]| ADDRESSES.iter().any(|known| begins(text, known));
    if let Some(link) = text.strip_prefix(&[']', '(']) {
        let is_local = matches!(link, ['/' | '#', ..] | ['.', '/' | '.', ..]);
        let close = link.iter().take(REACH).position(|c| *c == ')' || c.is_whitespace());
        return match close {
            Some(close) if is_local || is_address(link) => {
                2 + close + usize::from(link[close] == ')')
            }
            _ => 0,
        };
    }
    let ends = |c: &&char| !c.is_whitespace() && !"()[]{}<>\"'`".contains(**c);
    if is_address(text) { text.iter().take_while(ends).count() } else { 0 }
}

/// Returns how many characters the operand of a root or a function takes, with what stands below
/// and above the function's name.
fn operand(text: &[char]) -> usize {
    let mut at = 0;
    loop {
        at += text[at..].iter().take_while(|c| matches!(**c, ' ' | THIN)).count();
        match text.get(at) {
            Some('_' | '^') => at += 1 + argument(&text[at + 1..]).1,
            Some('(') => {
                let close = text[at..].iter().take(REACH).position(|c| *c == ')');
                return close.map_or(at, |close| at + close + 1);
            }
            Some('{' | '\\') => return at + argument(&text[at..]).1,
            _ => {
                let is_part = |c: &&char| c.is_ascii_digit() || matches!(c, '.' | ',');
                let n = text[at..].iter().take_while(is_part).count();
                let dots = text[at..at + n].iter().rev().take_while(|c| !c.is_ascii_digit());
                return at + n - dots.count();
            }
        }
    }
}

fn character(c: char, out: &mut Vec<char>) {
    let digit = ZEROS.iter().find_map(|zero| {
        let value = u32::from(c).checked_sub(*zero)?;
        // The mathematical digits come in five styles, one behind the other.
        let n = if *zero == 0x1d7ce { 50 } else { 10 };
        (value < n).then(|| char::from_digit(value % 10, 10))?
    });
    if let Some(digit) = digit {
        out.push(digit);
    } else if let Some((_, fraction)) = VULGAR.iter().find(|(vulgar, _)| *vulgar == c) {
        out.push(FRACTION);
        out.extend(fraction.chars());
    } else if let Some(power) = SUPERSCRIPTS.chars().position(|superscript| superscript == c) {
        let mut before = out.iter().rev().skip_while(|c| c.is_ascii_digit());
        let goes_on = match before.next() {
            Some('-') => before.next() == Some(&'^'),
            other => other == Some(&'^'),
        };
        if !goes_on {
            out.push('^');
        }
        out.extend(char::from_digit(power as u32, 10));
    } else {
        match c {
            // Zero width: soft hyphen, zero-width space and joiners, word joiner, byte order mark.
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
                out.push(THIN);
            }
            '\u{2010}'..='\u{2013}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => out.push('-'),
            '⁻' => out.extend(['^', '-']),
            '’' | '‘' | 'ʼ' | '′' | '´' | '＇' => out.push('\''),
            '⁄' | '∕' => out.push('/'),
            '٬' => out.push(','),
            '٫' | '。' | '｡' => out.push('.'),
            '…' => out.extend("...".chars()),
            '\u{ff01}'..='\u{ff5e}' => {
                out.extend(char::from_u32(u32::from(c) - 0xfee0));
            }
            '￥' => out.push('¥'),
            // A line or a dot above the digit before: overline, macron, dot.
            '\u{305}' | '\u{304}' | '\u{307}' => {
                if let Some(digit) = out.pop_if(|c| c.is_ascii_digit()) {
                    recurring(&[digit], out);
                }
            }
            _ => out.push(c),
        }
    }
}

/// Translates a command, which stands at the beginning; returns how many characters it took.
fn command(text: &[char], out: &mut Vec<char>, depth: usize) -> usize {
    let n_letters = text[1..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
    if n_letters == 0 {
        match text.get(1) {
            Some(',' | ';' | ':' | ' ' | '>' | '/') => out.push(THIN),
            // A negative space, and a discretionary hyphen.
            Some('!') => {}
            Some('\\') => out.push('\n'),
            Some('(' | ')' | '[' | ']') => out.push(' '),
            Some(&c) => character(c, out),
            None => out.push('\\'),
        }
        return text.len().min(2);
    }
    let name: String = text[1..=n_letters].iter().collect();
    let mut end = 1 + n_letters;
    match name.as_str() {
        "frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac" | "nicefrac" => {
            let (above, taken) = argument(&text[end..]);
            end += taken;
            let (below, taken) = argument(&text[end..]);
            end += taken;
            fraction(above, below, out, depth);
        }
        "sqrt" => {
            end += text[end..].iter().take_while(|c| c.is_whitespace()).count();
            if text.get(end) == Some(&'[') {
                end += text[end..].iter().position(|c| *c == ']').map_or(1, |place| place + 1);
            }
            end += argument(&text[end..]).1;
            out.push(FORMULA);
        }
        "overline" | "bar" | "dot" => {
            let (above, taken) = argument(&text[end..]);
            let follows_decimal = matches!(out.last(), Some('.' | ',' | '0'..='9'));
            if follows_decimal && above.iter().all(char::is_ascii_digit) && !above.is_empty() {
                recurring(above, out);
                end += taken;
            } else {
                out.push(BREAK);
            }
        }
        "binom" | "dbinom" | "tbinom" => {
            end += argument(&text[end..]).1;
            end += argument(&text[end..]).1;
            out.push(FORMULA);
        }
        name if FUNCTIONS.contains(&name) => {
            out.push(FORMULA);
            end += operand(&text[end..]);
        }
        name if GREEK.contains(&name) => out.push('π'),
        "le" | "leq" | "leqslant" | "lt" => out.push('<'),
        "ge" | "geq" | "geqslant" | "gt" => out.push('>'),
        "ne" | "neq" => out.push('≠'),
        "pm" | "mp" => out.push('±'),
        "in" | "notin" => out.push('∈'),
        "infty" => out.push('∞'),
        "to" | "rightarrow" | "mapsto" => out.push('→'),
        "cup" | "cap" | "setminus" => out.push('∪'),
        "mid" | "vert" | "lvert" | "rvert" => out.push('|'),
        "lfloor" | "rfloor" | "lceil" | "rceil" => out.push('⌊'),
        "times" => out.push('×'),
        "cdot" => out.push('·'),
        "div" => out.push('÷'),
        "approx" | "eq" | "equiv" | "simeq" => out.push('='),
        "pounds" | "textsterling" => out.push('£'),
        "euro" | "texteuro" => out.push('€'),
        "thinspace" | "enspace" | "medspace" | "thickspace" | "nobreakspace" => out.push(THIN),
        "negthinspace" | "displaystyle" | "left" | "right" | "limits" => {}
        "degree" | "circ" => out.push('°'),
        "quad" | "qquad" => out.push(' '),
        // `\text`, `\mathbf`, `\boxed` and all others: what they hold is read, they are not.
        _ => out.push(BREAK),
    }
    end
}

/// Puts digits down that come again, behind those that are known to.
fn recurring(digits: &[char], out: &mut Vec<char>) {
    let n_before = out.iter().rev().take_while(|c| c.is_ascii_digit()).count();
    if !out[..out.len() - n_before].ends_with(&[RECURRING]) {
        out.push(RECURRING);
    }
    out.extend(digits);
}

/// Returns a command's argument, a group or one character, and how many characters it takes.
fn argument(text: &[char]) -> (&[char], usize) {
    let blank = text.iter().take_while(|c| c.is_whitespace()).count();
    match text.get(blank) {
        None => (&[], blank),
        Some('{') => match closing(&text[blank..]) {
            Some(end) => (&text[blank + 1..blank + end], blank + end + 1),
            None => (&text[blank + 1..], text.len()),
        },
        Some(_) => (&text[blank..=blank], blank + 1),
    }
}

/// Returns where the group that opens at the beginning is closed.
pub(in crate::score) fn closing(text: &[char]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (place, c) in text.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(place);
                }
            }
            _ => {}
        }
    }
    None
}

fn fraction(above: &[char], below: &[char], out: &mut Vec<char>, depth: usize) {
    let part = |text: &[char]| {
        let mut part = Vec::new();
        if depth < MAX_DEPTH {
            translate(text, &mut part, depth + 1);
        }
        part.retain(|c| *c != BREAK && !c.is_whitespace());
        let is_negative = part.first() == Some(&'-');
        part.drain(..usize::from(is_negative));
        let is_number = part.iter().any(char::is_ascii_digit)
            && part.iter().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '$' | '%'));
        part.retain(|c| !matches!(c, '$' | '%'));
        is_number.then_some((is_negative, part))
    };
    let (Some((minus, above)), Some((of_minus, below))) = (part(above), part(below)) else {
        out.push(FORMULA);
        return;
    };
    if minus != of_minus {
        out.push('-');
    }
    out.push(FRACTION);
    out.extend(above);
    out.push('/');
    out.extend(below);
    out.push(BREAK);
}
