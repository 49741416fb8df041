//! Currencies as people write them beside a number.

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

/// Whether a word is a currency, as it is written in front of a number.
pub(super) fn is_currency(word: &str) -> bool {
    let is_known = || CURRENCIES.contains(&word.to_uppercase().as_str());
    SMALL_CURRENCIES.contains(&word) || word.starts_with(char::is_uppercase) && is_known()
}

pub(super) fn is_symbol(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥' | '¢' | '₩' | '₽' | '₺' | '฿' | '\u{20a0}'..='\u{20c0}')
}

/// Returns where a currency begins that ends there, of two letters or more: `USD-18`.
pub(super) fn currency(text: &[char], end: usize) -> Option<usize> {
    let n = text[..end].iter().rev().take_while(|c| c.is_ascii_alphabetic()).count();
    let word: String = text[end - n..end].iter().collect();
    (n > 1 && word != "US" && is_currency(&word)).then_some(end - n)
}
