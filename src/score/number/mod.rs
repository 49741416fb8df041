//! Numbers as people and models write them.

mod blanks;
mod currency;
mod dozens;
mod magnitude;
mod measures;
mod notations;
mod numeral;
mod one;
mod scan;
mod sign;
mod token;
mod value;

pub(super) use blanks::is_blank;
pub(super) use measures::{is_between, is_compound, is_in_another_unit, is_range};
pub(super) use notations::{closing, plain};
pub(super) use one::{Flaw, Front, one, separates};
pub(super) use scan::{repeats, scan};
pub(super) use sign::is_equated;
pub(super) use token::Token;
pub(crate) use value::{Number, TOLERANCE};

/// Reads a text that is one number in its dress: currency, percent, unit behind, Markdown and
/// LaTeX around. `None` for other words in front, for several numbers and for none.
pub(crate) fn read(text: &str) -> Option<Number> {
    one(text, Front::Dress).ok()
}

/// Returns the plain text of what stands where a value is expected, behind a sign that says so:
/// a minus at its beginning is a sign, `- 5`.
pub(super) fn in_place(text: &str) -> Vec<char> {
    plain(&format!("={text}"))
}

/// Words that may stand between "the answer is" and the number.
const DRESS_WORDS: [&str; 23] = [
    "approximately",
    "about",
    "around",
    "roughly",
    "exactly",
    "only",
    "just",
    "simply",
    "therefore",
    "thus",
    "so",
    "then",
    "equal",
    "equals",
    "to",
    "now",
    "a",
    "total",
    "of",
    "usd",
    "eur",
    "gbp",
    "rs",
];

/// Whether a text is nothing but marks and words that may stand in front of a number.
pub(super) fn is_dress(text: &[char]) -> bool {
    let words = text.split(|c| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.iter().collect::<String>()).all(|word| {
        DRESS_WORDS.contains(&word.to_lowercase().as_str()) || currency::is_currency(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = read(text).map(|number| number.to_string());
        assert_eq!(found.as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn a_number_is_read_in_every_dress() {
        for text in [
            "1250",
            "1,250",
            "1 250",
            "1\u{a0}250",
            "1\u{2009}250",
            "1\u{202f}250",
            "1'250",
            "1’250",
            "1_250",
            "$1,250",
            "1,250.00",
            "1.250,00",
            "1 250,00 €",
            "US$1,250",
            "USD 1250",
            "1250 USD",
            "Rs. 1,250",
            "€1.250,00",
            "**1,250**",
            "`1250`",
            "$1{,}250$",
            r"1\,250",
            r"1,\!250",
            r"\text{1250}",
            r"\$1{,}250",
            r"\mathbf{1250}\text{ apples}",
            "1250 m²",
            r"1250\text{ m}^2",
            "１２５０",
            "１，２５０",
            "1.25e3",
            r"1.25 \times 10^{3}",
            "1.25×10³",
            "1.25 thousand",
            "$1.25k",
            r"\frac{2500}{2}",
            r"\dfrac{2500}2",
            "2500/2",
            "+1250",
            "1250.",
            "1250…",
            "١٢٥٠",
            "1&nbsp;250",
            "about 1250 km/h",
            r"1\;250",
            "1250 years-old",
        ] {
            check(text, "1250");
        }
        for text in [
            "-5",
            "−5",
            "–5",
            "-5.0",
            "-$5",
            "$-5",
            "**−5**",
            "negative 5",
            "minus 5",
            r"\(-5\)",
            "= - 5",
        ] {
            check(text, "-5");
        }
        for text in ["0.5", ".5", "1/2", "½", r"\frac12", r"\frac{1}{2}", "0,5", "0,50 €", "50e-2"]
        {
            check(text, "0.5");
        }
        for text in ["12.5", r"12\text{.}5", "12&frac12;", "12{.}5"] {
            check(text, "12.5");
        }
        for text in ["3.5", "3 1/2", "3 and 1/2", "3½", r"3\frac{1}{2}", "7/2", "3,5"] {
            check(text, "3.5");
        }
        for text in ["1234567.89", "1,234,567.89", "1.234.567,89", "12,34,567.89", "1 234 567,89"] {
            check(text, "1234567.89");
        }
        for text in ["25%", r"25\%", "25 %", "25 percent", r"25\text{ percent}", "25.0%"] {
            check(text, "25%");
        }
        for text in ["-(5)", "$-(5)$", "-($5)", "($5)", "-\\left(5\\right)"] {
            check(text, "-5");
        }
        check("(5)", "5");
        check("-(-5)", "5");
        check("3-1/2", "3.5");
        check("1,00,000", "100000");
        check("-0", "0");
        check("0,125", "0.125");
        check("1.234", "1.234");
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("1.5 million", "1500000");
        check("2 lakh", "200000");
    }

    #[test]
    fn dozens_are_read_in_words_and_are_twelve_times_as_much_too() {
        check("2 dozen eggs", "2 dozen");
        check("a dozen", "1 dozen");
        check("Two dozen", "2 dozen");
        check("half a dozen", "0.5 dozen");
        check("a half-dozen", "0.5 dozen");
        check("1.5 dozens", "1.5 dozen");
        let is_same = |a: &str, b: &str| read(a).unwrap().is_same(&read(b).unwrap(), TOLERANCE);
        for other in ["2", "24", "two dozen", "2 dozen"] {
            assert!(is_same("2 dozen", other) && is_same(other, "2 dozen"), "{other}");
        }
        assert!(is_same("half a dozen", "6") && !is_same("2 dozen", "288"));
        assert!(!is_same("1 dozen", "12 dozen"));
    }

    #[test]
    fn a_point_before_three_digits_is_of_thousands_where_the_currency_has_a_decimal_comma() {
        for text in [
            "74.370 kr",
            "74.370 kr.",
            "kr 74.370",
            "74.370 €",
            "€74.370",
            "EUR 74.370",
            "74.370 euros",
            r"74.370\,\text{€}",
            r"\text{€}74.370",
            "74.370 zł",
            "R$ 74.370",
            "R$74.370",
            "74.370 Kč",
            "74.370 Ft",
            "74.370 lei",
            "74.370₫",
            "Rp74.370",
            "Rp. 74.370",
            "**74.370 kr**",
        ] {
            check(text, "74370");
        }
        check("-€1.250", "-1250");
        check("€-1.250", "-1250");
        check("€1.250.000", "1250000");
        for text in
            ["$74.370", "74.370", "£74.370", "₹74.370", "US$74.370", "74.370 ft", "74.370 USD"]
        {
            check(text, "74.37");
        }
        check("€74.37", "74.37");
        check("€74.3705", "74.3705");
        check("€0.125", "0.125");
        check("€1.234 million", "1234000");
        check("€1.234bn", "1234000000");
        check("1.234 Mrd. €", "1234000000");
    }

    #[test]
    fn money_in_two_units_is_one_amount() {
        for text in [
            "57 dollars and 20 cents",
            "$57 and 20 cents",
            "57 euros 20 cents",
            "57 pounds and 20 pence",
            "$57.20",
        ] {
            check(text, "57.2");
        }
        check("$5 and 5 cents", "5.05");
    }

    #[test]
    fn spaces_and_separators_of_latex_and_html_group_digits() {
        for text in [
            r"1{\,}250",
            r"1 \, 250",
            r"1\thinspace 250",
            "1{~}250",
            "1&#8201;250",
            "1&#x202f;250",
            "1&numsp;250",
            r"1,\hspace{0pt}250",
            r"1\hspace{2pt}250",
            r"1\kern-1pt250",
            r"1{,\!}250",
            r"1{,}\!250",
            r"1,\! 250",
            r"1\text{,}250",
            r"{2500 \over 2}",
            r"1250\,\mathrm{m\,s^{-1}}",
            "1250 ms⁻¹",
            r"1250\,\mathrm{MPa\,m^{1/2}}",
            r"1250 \tag{1}",
            r"\textcolor{red}{1250}",
            "1250 m<sup>2</sup>",
            "1.25 × 10<sup>3</sup>",
            "1250 m s<SUP>&minus;1</SUP>",
            "1250<sup>th</sup>",
        ] {
            check(text, "1250");
        }
    }

    #[test]
    fn a_recurring_decimal_is_the_fraction_that_it_stands_for() {
        for text in [
            "1/3",
            "0.333...",
            "0.3333…",
            r"0.\overline{3}",
            r"0.\bar{3}",
            r"0.\dot 3",
            r"0,\overline{3}",
            "0.3\u{305}",
            "0.3\u{307}",
            "0.(3)",
            "0.33\u{305}",
        ] {
            check(text, "1/3");
        }
        for text in ["0.1666...", r"0.1\overline{6}", "0.16\u{305}", r"0.1\dot{6}"] {
            check(text, "1/6");
        }
        for text in ["0.142857142857...", r"0.\dot{1}4285\dot{7}", "0.(142857)"] {
            check(text, "1/7");
        }
        check("33.(3)%", "100/3%");
        check("1,333.333...", "4000/3");
        check("0.999...", "1");
        check("1,333...", "1333");
        check("12.99...", "12.99");
        check(r"-1.\overline{6}", "-5/3");
    }

    #[test]
    fn what_is_not_one_number_is_not_read() {
        for text in [
            "",
            "$",
            "five",
            "inf",
            "nan",
            "3 and 4",
            "Route 66",
            "x2",
            r"\sqrt{2}",
            r"2\pi",
            "5^2",
            "(3,4)",
            "5:30",
            "5<sup>2</sup>",
            "101<sub>2</sub>",
            "57 feet 6 inches",
            "1/0",
            "several dozen",
            "dozens",
            // A million, a thousand, or a thousandth of an inch.
            "5 mil",
            "$5 mil",
            "9".repeat(400).as_str(),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_the_same_within_a_tolerance() {
        let check = |a: &str, b: &str, tolerance, expected| {
            assert_eq!(read(a).unwrap().is_same(&read(b).unwrap(), tolerance), expected, "{a} {b}");
        };
        check("0.3", "0.30000000000001", TOLERANCE, true);
        check("1/3", "0.333", TOLERANCE, false);
        check("1/3", "0.333", 0.01, true);
        check("12345678901234567", "12345678901234568", TOLERANCE, false);
        check("5.1", "5", TOLERANCE, false);
        check("0", "-0", 0.0, true);
        check("100", "101", 0.01, true);
        check("25%", "25", 0.0, true);
        check("25%", "0.25", TOLERANCE, true);
        check("1/4", r"25\%", TOLERANCE, true);
        check("25%", "2500", TOLERANCE, false);
        check("25%", "2500%", TOLERANCE, false);
    }
}
