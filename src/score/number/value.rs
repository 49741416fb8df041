//! A number with all its digits.

use std::fmt;

/// Relative difference up to which two numbers are the same where a score says nothing else: far
/// below any answer's last digit, far above the rounding of decimal text to a double.
pub(crate) const TOLERANCE: f64 = 1e-9;

/// A number that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    /// The shortest decimal text, `-1234.5`; a fraction without one stays one, `1/3`.
    text: String,
    value: f64,
    counts: Counts,
}

/// What a number counts, where that makes it two: `25%` is 25 and 0.25, `2 dozen` is 2 and 24.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Counts {
    Ones,
    Hundredths,
    Dozens,
}

impl fmt::Display for Number {
    /// Writes it so that [`read`](super::read) reads it again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.counts {
            Counts::Ones => Ok(()),
            Counts::Hundredths => f.write_str("%"),
            Counts::Dozens => f.write_str(" dozen"),
        }
    }
}

impl Number {
    pub(super) fn zero() -> Self {
        Self { text: "0".to_owned(), value: 0.0, counts: Counts::Ones }
    }

    /// Makes a number of decimal digits, `0.<digits> * 10^point`; `None` beyond what a double
    /// can hold.
    pub(super) fn decimal(negative: bool, digits: &str, point: i32) -> Option<Self> {
        let leading = digits.len() - digits.trim_start_matches('0').len();
        let (digits, point) = (&digits[leading..], point - i32::try_from(leading).ok()?);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self::zero());
        }
        let sign = if negative { "-" } else { "" };
        let value: f64 = format!("{sign}0.{digits}e{point}").parse().ok()?;
        let n = i32::try_from(digits.len()).ok()?;
        let text = match usize::try_from(point) {
            // A double has an exponent of three digits at most, and so has its text of digits.
            Ok(whole) if point >= n => {
                format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
            }
            Ok(0) => format!("{sign}0.{digits}"),
            Ok(whole) => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
            Err(_) if point > -40 => {
                format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
            }
            Err(_) => format!("{sign}0.{digits}e{point}"),
        };
        value.is_finite().then_some(Self { text, value, counts: Counts::Ones })
    }

    /// Makes a decimal whose last digits come again and again: `0.1666…` of `0`, `1` and `6`.
    pub(super) fn recurring(whole: &str, once: &str, again: &str) -> Option<Self> {
        let part = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
        let of_ten = |n: usize| 10_i128.checked_pow(u32::try_from(n).ok()?);
        let first = part(&format!("{whole}{once}"))?;
        let above = part(&format!("{whole}{once}{again}"))?.checked_sub(first)?;
        let below = of_ten(once.len())?.checked_mul(of_ten(again.len())?.checked_sub(1)?)?;
        Self::of_int(above)?.divided(&Self::of_int(below)?)
    }

    /// Divides two numbers; as decimal text where that ends.
    pub(super) fn divided(&self, by: &Self) -> Option<Self> {
        let value = self.value / by.value;
        if !value.is_finite() {
            return None;
        }
        let as_fraction = || {
            let (above, below) = (self.scaled()?, by.scaled()?);
            let places = above.1.max(below.1);
            let lift =
                |(digits, at): (i128, u32)| digits.checked_mul(10_i128.checked_pow(places - at)?);
            let (above, below) = (lift(above)?, lift(below)?);
            let common = gcd(above.unsigned_abs(), below.unsigned_abs()).max(1);
            let (n, d) = (above.unsigned_abs() / common, below.unsigned_abs() / common);
            let negative = (above < 0) != (below < 0);
            // A decimal ends where its denominator has no prime factor but 2 and 5.
            for places in 0..=18 {
                let scaled = n.checked_mul(10_u128.checked_pow(places)?)?;
                if scaled % d == 0 {
                    let digits = (scaled / d).to_string();
                    let point = i32::try_from(digits.len()).ok()? - i32::try_from(places).ok()?;
                    return Self::decimal(negative, &digits, point);
                }
            }
            let sign = if negative { "-" } else { "" };
            Some(Self { text: format!("{sign}{n}/{d}"), value, counts: Counts::Ones })
        };
        as_fraction().or_else(|| {
            Some(Self { text: format!("{}/{}", self.text, by.text), value, counts: Counts::Ones })
        })
    }

    /// Adds another number, as the parts of `3 1/2`.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let (whole, _) = self.scaled()?;
        let (above, below) = other.text.split_once('/').map_or_else(
            || {
                let (digits, places) = other.scaled()?;
                Some((digits, 10_i128.checked_pow(places)?))
            },
            |(above, below)| Some((above.parse().ok()?, below.parse().ok()?)),
        )?;
        let sum = whole.checked_mul(below)?.checked_add(above)?;
        Self::of_int(sum)?.divided(&Self::of_int(below)?)
    }

    pub(super) fn of_int(int: i128) -> Option<Self> {
        let digits = int.unsigned_abs().to_string();
        Self::decimal(int < 0, &digits, i32::try_from(digits.len()).ok()?)
    }

    pub(super) fn negated(&self) -> Self {
        let text = match self.text.strip_prefix('-') {
            Some(text) => text.to_owned(),
            None if self.text == "0" => self.text.clone(),
            None => format!("-{}", self.text),
        };
        Self { text, value: -self.value, counts: self.counts }
    }

    /// Returns the number times a power of ten.
    pub(super) fn shifted(&self, power: i32) -> Option<Self> {
        let (negative, text) =
            self.text.strip_prefix('-').map_or((false, self.text.as_str()), |text| (true, text));
        if text.contains(['/', 'e']) {
            return None;
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let point = i32::try_from(whole.len()).ok()?.checked_add(power)?;
        Self::decimal(negative, &format!("{whole}{part}"), point)
    }

    /// Returns all digits as an integer, and how many of them stand behind the point.
    fn scaled(&self) -> Option<(i128, u32)> {
        let (whole, part) = self.text.split_once('.').unwrap_or((&self.text, ""));
        Some((format!("{whole}{part}").parse().ok()?, u32::try_from(part.len()).ok()?))
    }

    /// Returns the number as one of a hundred: it is another number's hundredth too.
    pub(super) fn in_percent(self) -> Self {
        Self { counts: Counts::Hundredths, ..self }
    }

    /// Returns the number as one of dozens: it is twelve times as much, too.
    pub(super) fn in_dozens(self) -> Self {
        Self { counts: Counts::Dozens, ..self }
    }

    pub(super) fn is_ten(&self) -> bool {
        self.text == "10"
    }

    pub(super) fn is_int(&self) -> bool {
        !self.text.contains(['.', '/', 'e'])
    }

    /// Whether another number, behind `≈`, only writes the decimals of this one down, which do not
    /// end: `1/3 ≈ 0.333`. A whole number is what a rounding was asked for.
    pub(super) fn is_written_out_by(&self, other: &Self) -> bool {
        self.text.contains('/') && !other.is_int()
    }

    /// Whether two numbers differ by no more than a share of the larger. Two integers are
    /// compared digit by digit where the tolerance is the default: a double cannot tell
    /// neighbours above 2^53 apart.
    ///
    /// `25%` is 25, where the other one leaves the sign away, and 0.25, where it means it; `2 dozen`
    /// is 2, where a question asks for dozens, and 24.
    pub(crate) fn is_same(&self, other: &Self, tolerance: f64) -> bool {
        let is_one_plain = (self.counts == Counts::Ones) != (other.counts == Counts::Ones);
        self.is_near(other, tolerance)
            || is_one_plain && is_near(self.in_ones(), other.in_ones(), tolerance)
    }

    fn in_ones(&self) -> f64 {
        match self.counts {
            Counts::Ones => self.value,
            Counts::Hundredths => self.value / 100.0,
            Counts::Dozens => self.value * 12.0,
        }
    }

    fn is_near(&self, other: &Self, tolerance: f64) -> bool {
        if tolerance <= TOLERANCE && self.is_int() && other.is_int() {
            return self.text == other.text;
        }
        is_near(self.value, other.value, tolerance)
    }
}

fn is_near(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance * one.abs().max(other.abs())
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}
