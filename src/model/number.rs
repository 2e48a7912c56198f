//! Numbers as they are written in decimal digits: what reading one as a double keeps of it.

/// Digits that every double holds.
const SAFE: usize = 15;

/// Whether two texts of numbers, as JSON writes them, are the same number.
#[must_use]
pub fn is_same_number(one: &str, other: &str) -> bool {
    digits(one) == digits(other)
}

/// Whether a double that was read from a text, written as JSON writes numbers, has all of its digits.
#[must_use]
pub fn holds(number: f64, text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() <= SAFE && !text.contains(['e', 'E'])
        || is_same_number(text, &number.to_string())
}

/// Sign, digits without zeros at either end, and the power of ten of the first digit: equal for equal numbers.
fn digits(number: &str) -> Option<(bool, String, i64)> {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let zeros = i64::try_from(all.len() - significant.len()).ok()?;
    let power = exponent
        .parse::<i64>()
        .ok()?
        .checked_add(i64::try_from(whole.len()).ok()? - zeros)?;
    let significant = significant.trim_end_matches('0');
    // zero has no first digit
    let power = if significant.is_empty() { 0 } else { power };
    Some((negative, significant.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_holds_what_reads_back_as_the_same_digits() {
        for (text, held) in [
            ("0.1", true),
            ("-0", true),
            ("007.50", true),
            ("9007199254740992", true),
            ("9007199254740993", false),
            ("12345678901234567890.12", false),
            ("0.1234567890123456", true),
            ("0.12345678901234567890", false),
            ("1.5e300", true),
            ("1e-400", false),
        ] {
            let number: f64 = text.parse().unwrap();
            assert_eq!(holds(number, text), held, "{text}");
        }
    }
}
