//! Currencies as people write them beside a number.

use crate::score::number::blanks::{is_blank, skip};

/// Currencies as they stand right in front of a number.
const CURRENCIES: [&str; 61] = [
    "USD", "US", "EUR", "GBP", "INR", "RS", "JPY", "CNY", "RMB", "CHF", "AUD", "CAD", "NZD", "SGD",
    "HKD", "RM", "KRW", "BRL", "R", "ZAR", "MXN", "SEK", "NOK", "DKK", "PLN", "AED", "SAR", "QAR",
    "KWD", "PKR", "LKR", "NPR", "BDT", "TK", "IDR", "RP", "MYR", "PHP", "THB", "VND", "TWD", "NT",
    "KES", "KSH", "TSH", "USH", "NGN", "GHS", "EGP", "ILS", "TRY", "TL", "RUB", "UAH", "CZK",
    "HUF", "FT", "RON", "DM", "FR", "KR",
];
/// Those that are written in small letters.
const SMALL_CURRENCIES: [&str; 4] = ["kr", "lei", "din", "dh"];

/// Currencies of countries that write a comma before decimals, and of which no amount has three: a point
/// in front of three digits is one of thousands, `74.370 kr`.
///
/// Source: Unicode CLDR 48, `decimal` of the locales; ISO 4217, minor units.
const OF_DECIMAL_COMMA: [&str; 32] = [
    "€", "EUR", "eur", "euro", "euros", "Euro", "kr", "Kr", "KR", "kronor", "kroner", "krónur",
    "SEK", "NOK", "DKK", "ISK", "zł", "PLN", "R$", "BRL", "Kč", "CZK", "Ft", "HUF", "lei", "RON",
    "₫", "VND", "Rp", "IDR", "₺", "TL",
];

/// Whether a word is a currency, as it is written in front of a number.
pub(super) fn is_currency(word: &str) -> bool {
    let is_known = || CURRENCIES.contains(&word.to_uppercase().as_str());
    SMALL_CURRENCIES.contains(&word) || word.starts_with(char::is_uppercase) && is_known()
}

pub(super) fn is_symbol(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥' | '¢' | '₩' | '₽' | '₺' | '฿' | '\u{20a0}'..='\u{20c0}')
}

/// Whether such a currency stands right beside a number, in front or behind.
pub(super) fn has_decimal_comma(text: &[char], from: usize, to: usize) -> bool {
    let is_part = |c: &&char| c.is_alphabetic() || is_symbol(**c);
    let is_known = |word: String| OF_DECIMAL_COMMA.contains(&word.as_str());
    // `€-1.250`, `Rp. 1.250`
    let is_gap = |c: &&char| is_blank(**c) || matches!(**c, '-' | '.');
    let end = from - text[..from].iter().rev().take_while(is_gap).count();
    let begin = end - text[..end].iter().rev().take_while(is_part).count();
    let behind = text[skip(text, to)..].iter().take_while(is_part);
    is_known(text[begin..end].iter().collect()) || is_known(behind.collect())
}

/// Returns where a currency begins that ends there, of two letters or more: `USD-18`.
pub(super) fn currency(text: &[char], end: usize) -> Option<usize> {
    let n = text[..end].iter().rev().take_while(|c| c.is_ascii_alphabetic()).count();
    let word: String = text[end - n..end].iter().collect();
    (n > 1 && word != "US" && is_currency(&word)).then_some(end - n)
}
