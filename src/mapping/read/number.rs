//! Numbers written as text.

use crate::{api::mapping_spec::Decimal, model::number::holds};

/// The number that text says, and whether it has all of its digits; `None` where it says none. Groups of three digits may be set apart by the other mark or
/// by spaces.
pub(super) fn parse(text: &str, decimal: Decimal) -> Option<(f64, bool)> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == ',') {
        return None;
    }
    if digits.contains(['e', 'E']) {
        return exponent(digits).then(|| read(&format!("{sign}{digits}"))).flatten();
    }
    let (whole, fraction) = match mark(digits, decimal) {
        Some(mark) => digits.rsplit_once(mark)?,
        None => (digits, "0"),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = if whole.is_empty() {
        "0".to_owned()
    } else {
        ungrouped(whole)?
    };
    (all_digits(&whole) && all_digits(fraction))
        .then(|| read(&format!("{sign}{whole}.{fraction}")))
        .flatten()
}

fn read(text: &str) -> Option<(f64, bool)> {
    let number: f64 = text.parse().ok()?;
    Some((number, holds(number, text)))
}

/// Whether it is a number with an exponent, as machines write it: no groups, a point.
fn exponent(digits: &str) -> bool {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// The decimal mark of the text, if it has one.
fn mark(digits: &str, decimal: Decimal) -> Option<char> {
    let last = digits.rfind(['.', ','])?;
    let mark = if digits[last..].starts_with('.') { '.' } else { ',' };
    let other = if mark == '.' { ',' } else { '.' };
    let head = &digits[..last];
    if head.contains(other) {
        return Some(mark);
    }
    if head.contains(mark) {
        return None;
    }
    let ambiguous = digits.len() - last == 4 && (1..=3).contains(&head.len()) && !head.starts_with('0');
    let said = match decimal {
        Decimal::Point => '.',
        Decimal::Comma => ',',
    };
    (!ambiguous || mark == said).then_some(mark)
}

/// The digits without what groups them by three; `None` where the groups are not of three or differ in their mark.
fn ungrouped(whole: &str) -> Option<String> {
    let is_mark = |c: char| matches!(c, '.' | ',' | ' ' | '\u{a0}' | '\u{202f}');
    let mut marks = whole.chars().filter(|c| is_mark(*c));
    if let Some(first) = marks.next() {
        let mut groups = whole.split(is_mark);
        let head = groups.next()?;
        let regular = marks.all(|mark| mark == first) && (1..=3).contains(&head.len()) && groups.all(|g| g.len() == 3);
        if !regular {
            return None;
        }
    }
    Some(whole.chars().filter(|c| !is_mark(*c)).collect())
}
