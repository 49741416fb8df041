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
/// Characters in which a group is closed that is read as a whole: a separator, a power, an index.
const GROUP_REACH: usize = 200;
/// Groups inside groups that are still read.
const MAX_DEPTH: usize = 8;
/// Zeros of the decimal digits that people write besides ASCII's: Arabic, Persian, Devanagari,
/// Bengali, Gurmukhi, Gujarati, Odia, Tamil, Telugu, Kannada, Malayalam, Thai, Lao, Tibetan,
/// Burmese, Khmer, and bold mathematical.
///
/// Source: Unicode 16, `Nd` of `DerivedNumericType.txt`.
const ZEROS: [u32; 17] = [
    0x0660, 0x06f0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50,
    0x0ed0, 0x0f20, 0x1040, 0x17e0, 0x1d7ce,
];
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
/// HTML's names for what stands in and around numbers; [`entity`] knows those of fractions, and
/// characters by their numbers.
const ENTITIES: [(&str, char); 40] = [
    ("sdot", '⋅'),
    ("lowast", '∗'),
    ("nbsp", '\u{a0}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("numsp", '\u{2007}'),
    ("puncsp", '\u{2008}'),
    ("thinsp", '\u{2009}'),
    ("hairsp", '\u{200a}'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("minus", '-'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("plus", '+'),
    ("times", '×'),
    ("divide", '÷'),
    ("middot", '·'),
    ("frasl", '⁄'),
    ("sol", '/'),
    ("equals", '='),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("rsquo", '’'),
    ("comma", ','),
    ("period", '.'),
    ("deg", '°'),
    ("sup1", '¹'),
    ("sup2", '²'),
    ("sup3", '³'),
    ("percnt", '%'),
    ("dollar", '$'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("hellip", '…'),
];
/// Letters of the longest of such names and numbers.
const ENTITY_MAX: usize = 8;

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
/// Its commands that stand between what they are about: `{10 \over 2}`.
const INFIXES: [&str; 5] = ["over", "choose", "atop", "brace", "brack"];
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
            '{' => group(&text[at..], out, depth),
            '}' => {
                out.push(BREAK);
                1
            }
            '^' | '_' if text.get(at + 1).is_some_and(|c| matches!(c, '{' | '\\')) => {
                out.push(c);
                1 + script(&text[at + 1..], out, depth)
            }
            '~' => {
                out.push(THIN);
                1
            }
            '&' => entity(&text[at..], out),
            '<' => tag(&text[at..], out, depth),
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

/// Translates a group, which opens at the beginning, or its bracket alone; returns how many
/// characters it took.
fn group(text: &[char], out: &mut Vec<char>, depth: usize) -> usize {
    if let Some(inner) = inner(text) {
        // `9{,}500`, `9{\,}500`: braces keep TeX from setting a space behind the comma.
        if let Some(separators) = separators(inner, depth) {
            out.extend(separators);
            return inner.len() + 2;
        }
        match infix(inner) {
            Some((above, "over", below)) => fraction(above, below, out, depth),
            Some(_) => out.push(FORMULA),
            None => {
                out.push(BREAK);
                return 1;
            }
        }
        return inner.len() + 2;
    }
    out.push(BREAK);
    1
}

/// Returns what a short group holds that opens at the beginning.
fn inner(text: &[char]) -> Option<&[char]> {
    let text = &text[..text.len().min(GROUP_REACH)];
    text.first().filter(|c| **c == '{')?;
    Some(&text[1..closing(text)?])
}

/// Returns what a group says that holds nothing but what may stand between digits.
fn separators(inner: &[char], depth: usize) -> Option<Vec<char>> {
    let is_mark = |c: &char| matches!(c, ',' | '.' | '\'' | '~' | ' ');
    inner.first().filter(|c| is_mark(c) || **c == '\\')?;
    let mut said = translated(inner, depth)?;
    said.retain(|c| *c != BREAK);
    said.iter().all(|c| matches!(*c, ',' | '.' | '\'' | ' ' | THIN)).then_some(said)
}

fn translated(text: &[char], depth: usize) -> Option<Vec<char>> {
    let mut out = Vec::new();
    (depth < MAX_DEPTH).then(|| translate(text, &mut out, depth + 1))?;
    Some(out)
}

/// Returns what stands on both sides of a command that TeX writes between its arguments,
/// `{10 \over 2}`, and its name.
fn infix(inner: &[char]) -> Option<(&[char], &'static str, &[char])> {
    let mut depth = 0_usize;
    for (at, c) in inner.iter().enumerate() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '\\' if depth == 0 => {
                let name: String =
                    inner[at + 1..].iter().take_while(|c| c.is_ascii_alphabetic()).collect();
                if let Some(known) = INFIXES.into_iter().find(|known| *known == name) {
                    return Some((&inner[..at], known, &inner[at + 1 + known.len()..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// Translates what is raised or lowered, a group or a command: it becomes one group between two
/// breaks, in which there is no other, so that it can be read over as a whole.
fn script(text: &[char], out: &mut Vec<char>, depth: usize) -> usize {
    let (mut said, taken) = match inner(text) {
        Some(inner) => (translated(inner, depth).unwrap_or_default(), inner.len() + 2),
        None if text[0] == '{' => return 0,
        None => {
            let mut said = Vec::new();
            let taken = command(text, &mut said, depth);
            // `^\text{th}`
            match text.get(taken) {
                Some('{') if said == [BREAK] => return taken + script(&text[taken..], out, depth),
                // `x^\prime` has a sign that is none of ours.
                _ if said == [BREAK] => (vec!['*'], taken),
                _ => (said, taken),
            }
        }
    };
    said.retain(|c| *c != BREAK);
    out.push(BREAK);
    out.append(&mut said);
    out.push(BREAK);
    taken
}

/// Translates a tag of HTML that raises or lowers, `<sup>2</sup>`, with what it holds; another one
/// is a sign.
fn tag(text: &[char], out: &mut Vec<char>, depth: usize) -> usize {
    let reach = &text[..text.len().min(GROUP_REACH)];
    let begins = |text: &[char], tag: &str| {
        text.len() >= tag.len() && tag.chars().zip(text).all(|(a, b)| a == b.to_ascii_lowercase())
    };
    for (sign, open, close) in [('^', "<sup>", "</sup>"), ('_', "<sub>", "</sub>")] {
        if !begins(reach, open) {
            continue;
        }
        if let Some(end) = (open.len()..reach.len()).find(|at| begins(&reach[*at..], close)) {
            let mut said = translated(&reach[open.len()..end], depth).unwrap_or_default();
            said.retain(|c| *c != BREAK);
            out.extend([sign, BREAK]);
            out.append(&mut said);
            out.push(BREAK);
            return end + close.len();
        }
    }
    out.push('<');
    1
}

/// Translates one of HTML's characters, which stands at the beginning.
fn entity(text: &[char], out: &mut Vec<char>) -> usize {
    let name: String = text[1..].iter().take(ENTITY_MAX + 1).take_while(|c| **c != ';').collect();
    let of_number = |number: &str| {
        let hex = number.strip_prefix(['x', 'X']);
        let code = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?;
        char::from_u32(code).filter(|c| !c.is_control())
    };
    let of_fraction = |parts: &str| {
        let mut parts = parts.chars();
        let written = format!("{}/{}", parts.next()?, parts.next()?);
        VULGAR.iter().find(|(_, fraction)| *fraction == written).map(|(vulgar, _)| *vulgar)
    };
    let known = name.strip_prefix('#').and_then(of_number);
    let known = known.or_else(|| name.strip_prefix("frac").and_then(of_fraction));
    let named = || ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, meant)| *meant);
    match known.or_else(named) {
        Some(meant) if text.get(1 + name.len()) == Some(&';') => {
            character(meant, out);
            name.len() + 2
        }
        _ => {
            out.push('&');
            1
        }
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
            '⋅' | '∙' => out.push('·'),
            '⨯' | '✕' | '✖' | '⨉' => out.push('×'),
            '∗' => out.push('*'),
            '٪' | '﹪' => out.push('%'),
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
            Some(',' | ';' | ':' | ' ' | '>' | '/') => return 2 + space(&text[2..], out),
            // A negative space; behind a separator TeX's blanks are as little.
            Some('!') => {
                let is_separated = out.ends_with(&[',']) || out.ends_with(&['.']);
                return 2 + if is_separated { blanks(&text[2..]) } else { 0 };
            }
            Some('\\') => {
                out.push('\n');
                return 2 + row_gap(&text[2..]);
            }
            Some('(' | ')' | '[' | ']') => out.push(' '),
            Some(&c) => character(c, out),
            None => out.push('\\'),
        }
        return text.len().min(2);
    }
    let name: String = text[1..=n_letters].iter().collect();
    let mut end = 1 + n_letters;
    if let Some(sign) = sign_of(&name) {
        out.push(sign);
        return end;
    }
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
        "hspace" | "kern" | "mkern" | "hskip" | "mskip" | "mspace" => {
            let (width, taken) = dimension(&text[end..]);
            end += taken;
            if width {
                end += space(&text[end..], out);
            }
        }
        // What these hold is not read, or is no part of what they say.
        "vspace" | "vskip" | "phantom" | "hphantom" | "vphantom" | "label" | "ref" | "eqref"
        | "tag" | "cite" | "color" | "textcolor" | "colorbox" => {
            end += usize::from(text.get(end) == Some(&'*'));
            if text.get(end) == Some(&'{') {
                end += argument(&text[end..]).1;
            }
            out.push(BREAK);
        }
        name if INFIXES.contains(&name) => out.push(FORMULA),
        name if FUNCTIONS.contains(&name) => {
            out.push(FORMULA);
            end += operand(&text[end..]);
        }
        name if GREEK.contains(&name) => out.push('π'),
        "mod" | "bmod" | "pmod" => out.extend(" mod ".chars()),
        "thinspace" | "enspace" | "medspace" | "thickspace" | "nobreakspace" | "space" => {
            end += space(&text[end..], out);
        }
        "negthinspace" | "displaystyle" | "left" | "right" | "limits" => {}
        "quad" | "qquad" => out.push(' '),
        // `12\text{.}5`
        _ if inner(&text[end..]).and_then(|inner| separators(inner, depth)).is_some() => {}
        // `\text`, `\mathbf`, `\boxed` and all others: what they hold is read, they are not.
        _ => out.push(BREAK),
    }
    end
}

/// Returns the character that a command without an argument stands for.
fn sign_of(command: &str) -> Option<char> {
    Some(match command {
        "le" | "leq" | "leqslant" | "lt" => '<',
        "ge" | "geq" | "geqslant" | "gt" => '>',
        "ne" | "neq" => '≠',
        "pm" | "mp" => '±',
        "in" | "notin" => '∈',
        "infty" => '∞',
        "to" | "rightarrow" | "mapsto" => '→',
        "cup" | "cap" | "setminus" => '∪',
        "mid" | "vert" | "lvert" | "rvert" => '|',
        "lfloor" | "rfloor" | "lceil" | "rceil" => '⌊',
        "times" => '×',
        "cdot" | "cdotp" => '·',
        "ast" => '*',
        "bullet" => '•',
        "div" => '÷',
        "approx" | "simeq" | "approxeq" => '≈',
        "eq" | "equiv" => '=',
        "pounds" | "textsterling" => '£',
        "euro" | "texteuro" => '€',
        "degree" | "circ" => '°',
        _ => return None,
    })
}

fn blanks(text: &[char]) -> usize {
    text.iter().take_while(|c| **c == ' ').count()
}

/// Puts LaTeX's space down in place of all blanks around it, which say nothing beside it; returns
/// how many stand behind.
fn space(behind: &[char], out: &mut Vec<char>) -> usize {
    while out.pop_if(|c| matches!(*c, ' ' | THIN)).is_some() {}
    out.push(THIN);
    blanks(behind)
}

/// Returns whether a width is above nothing, and how many characters it takes: `{0pt}`, `-3mu`.
fn dimension(text: &[char]) -> (bool, usize) {
    let star = usize::from(text.first() == Some(&'*'));
    if let Some(inner) = inner(&text[star..]) {
        return (is_wide(inner), star + inner.len() + 2);
    }
    let from = blanks(text);
    let is_part = |c: &&char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
    let n = text[from..].iter().take_while(is_part).count();
    let unit = text[from + n..].iter().take(2).take_while(|c| c.is_ascii_alphabetic()).count();
    if n == 0 { (true, 0) } else { (is_wide(&text[from..from + n]), from + n + unit) }
}

fn is_wide(width: &[char]) -> bool {
    !width.contains(&'-') && width.iter().any(|c| matches!(c, '1'..='9'))
}

/// Returns how many characters the space takes that is asked for behind a row: `\\[4pt]`.
fn row_gap(text: &[char]) -> usize {
    let Some(rest) = text.strip_prefix(&['[']) else { return 0 };
    let n = rest.iter().take_while(|c| c.is_ascii_digit() || matches!(c, '-' | '.')).count();
    match rest[n..] {
        ['a'..='z', 'a'..='z', ']', ..] if n > 0 => n + 4,
        _ => 0,
    }
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
