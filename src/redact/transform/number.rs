//! Numbers rounded in exact decimal arithmetic, so that no digit of a double ever stands for one of the upstream's.

use std::cmp::Ordering;

/// The most digits of a number.
const MOST_DIGITS: usize = 40;

/// The largest exponent of a number, either way.
const MOST_EXPONENT: i32 = 30;

/// The multiple of `step` that is nearest to the number, half away from zero, in plain notation with as many decimals as
/// the step has.
///
/// `None` where one of them is no JSON number (RFC 8259, section 6), has more than 40 digits or an exponent beyond ±30,
/// or where the step is not above zero or has more than 18 digits.
pub(super) fn round(text: &str, step: &str) -> Option<String> {
    let value = Decimal::parse(text)?;
    let step = Decimal::parse(step)?;
    let scale = step.scale.max(0);
    let step = step.coefficient(scale)?;

    // The value in units of 10^-scale, as far as it is whole, and what is left of it behind that.
    let (whole, rest) = value.at_scale(scale)?;
    let (mut multiple, remainder) = divide(&whole, step)?;
    if rounds_up(remainder, &rest, step) {
        add(&mut multiple, 1);
    }
    let result = multiply(&multiple, step);
    Some(plain(value.negative, &result, scale))
}

/// `digits` times 10^-scale. The digits are values 0 to 9, the most significant first.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: i32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, (!fraction.is_empty()).then_some(fraction)?),
            None => (mantissa, ""),
        };
        if whole.is_empty() || whole.len() > 1 && whole.starts_with('0') || whole.len() + fraction.len() > MOST_DIGITS {
            return None;
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(digit).collect::<Option<_>>()?;
        let scale = i32::try_from(fraction.len()).ok()? - exponent;
        Some(Self { negative, digits, scale })
    }

    /// The number in units of 10^-scale, which must be at least its own. `None` where that is not above 0 or has more
    /// than 18 digits.
    fn coefficient(&self, scale: i32) -> Option<u64> {
        if self.negative {
            return None;
        }
        let (digits, _) = self.at_scale(scale)?;
        let number =
            digits.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add((*digit).into()))?;
        (1..1_000_000_000_000_000_000).contains(&number).then_some(number)
    }

    /// The digits down to 10^-scale, and those behind.
    fn at_scale(&self, scale: i32) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut whole = self.digits.clone();
        match self.scale.cmp(&scale) {
            Ordering::Greater => {
                let behind = usize::try_from(self.scale - scale).ok()?;
                // A number smaller than one unit has zeros in front of its digits.
                let missing = behind.saturating_sub(whole.len());
                whole.splice(0..0, std::iter::repeat_n(0, missing));
                let rest = whole.split_off(whole.len() - behind);
                Some((whole, rest))
            }
            Ordering::Less | Ordering::Equal => {
                whole.extend(std::iter::repeat_n(0, usize::try_from(scale - self.scale).ok()?));
                Some((whole, Vec::new()))
            }
        }
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = sign * is_number.then(|| digits.parse::<i32>().ok())??;
    (-MOST_EXPONENT..=MOST_EXPONENT).contains(&exponent).then_some(exponent)
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

/// The quotient and the remainder, by long division.
fn divide(digits: &[u8], by: u64) -> Option<(Vec<u8>, u64)> {
    let mut remainder = 0_u128;
    let mut quotient = Vec::with_capacity(digits.len());
    for digit in digits {
        remainder = remainder * 10 + u128::from(*digit);
        quotient.push(u8::try_from(remainder / u128::from(by)).ok()?);
        remainder %= u128::from(by);
    }
    Some((quotient, u64::try_from(remainder).ok()?))
}

/// Whether `remainder` and the digits behind it are half of `step` or more.
fn rounds_up(remainder: u64, rest: &[u8], step: u64) -> bool {
    match (2 * remainder + 1).cmp(&step) {
        Ordering::Greater => true,
        // A half of one unit is missing: the digits behind have it or not.
        Ordering::Equal => rest.first().is_some_and(|first| *first >= 5),
        Ordering::Less => false,
    }
}

fn add(digits: &mut Vec<u8>, mut carry: u8) {
    for digit in digits.iter_mut().rev() {
        *digit += carry;
        carry = *digit / 10;
        *digit %= 10;
    }
    if carry > 0 {
        digits.insert(0, carry);
    }
}

fn multiply(digits: &[u8], by: u64) -> Vec<u8> {
    let mut carry = 0_u128;
    let mut reversed = Vec::with_capacity(digits.len() + 20);
    for digit in digits.iter().rev() {
        carry += u128::from(*digit) * u128::from(by);
        reversed.push((carry % 10) as u8);
        carry /= 10;
    }
    while carry > 0 {
        reversed.push((carry % 10) as u8);
        carry /= 10;
    }
    reversed.reverse();
    reversed
}

fn plain(negative: bool, digits: &[u8], scale: i32) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let is_zero = zeros == digits.len();
    let mut significant: Vec<u8> = digits.iter().skip(zeros).map(|digit| digit + b'0').collect();
    if significant.len() <= scale {
        significant.splice(0..0, std::iter::repeat_n(b'0', scale + 1 - significant.len()));
    }
    let mut text = String::with_capacity(significant.len() + 2);
    if negative && !is_zero {
        text.push('-');
    }
    for (place, digit) in significant.iter().enumerate() {
        if place + scale == significant.len() && scale > 0 {
            text.push('.');
        }
        text.push(char::from(*digit));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rounded(text: &str, step: &str) -> String {
        round(text, step).unwrap_or_else(|| panic!("{text} by {step}"))
    }

    #[test]
    fn a_number_becomes_the_nearest_multiple() {
        for (text, step, wanted) in [
            ("72", "5", "70"),
            ("73", "5", "75"),
            ("72.5", "5", "75"),
            ("72.49999999999999999999", "5", "70"),
            ("-72.5", "5", "-75"),
            ("-72.4", "5", "-70"),
            ("0", "5", "0"),
            ("-0", "5", "0"),
            ("-2.4", "5", "0"),
            ("2.5", "5", "5"),
            ("1.25", "0.5", "1.5"),
            ("1.24", "0.5", "1.0"),
            ("0.1", "0.5", "0.0"),
            ("6.3", "0.1", "6.3"),
            ("6.35", "0.1", "6.4"),
            ("6.3", "0.10", "6.30"),
            ("99.5", "1", "100"),
            ("999.95", "0.1", "1000.0"),
            ("7", "0.25", "7.00"),
            ("1e2", "30", "90"),
            ("1.5E+1", "10", "20"),
            ("149e-1", "10", "10"),
            ("1e-30", "1", "0"),
            ("5e-1", "1", "1"),
            ("4.99e-1", "1", "0"),
            ("123456", "1e3", "123000"),
            ("1e30", "7", "999999999999999999999999999999"),
            ("1234567890123456789012345678901234567890", "1", "1234567890123456789012345678901234567890"),
            ("1", "3", "0"),
            ("1.5", "3", "3"),
            ("1.4999", "3", "0"),
            ("2", "3", "3"),
            // More digits than there were.
            ("95", "10", "100"),
            ("5", "10", "10"),
            ("999", "1000", "1000"),
            ("-99999", "1e5", "-100000"),
            // Fewer than one.
            ("0.05", "0.01", "0.05"),
            ("0.0049", "0.001", "0.005"),
        ] {
            assert_eq!(rounded(text, step), wanted, "{text} by {step}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_long_is_withheld() {
        for text in [
            "",
            "-",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "1e31",
            "1e-31",
            "1e99999999999",
            "NaN",
            "0x1",
            "1_0",
            " 1",
            "1 ",
            "--1",
            "1e1.5",
            "1.2.3",
            "12345678901234567890123456789012345678901",
            "é",
            "1e--1",
        ] {
            assert_eq!(round(text, "1"), None, "{text}");
        }
        for step in ["0", "0.0", "-1", "", "x", "1000000000000000000", "1e18"] {
            assert_eq!(round("1", step), None, "{step}");
        }
    }

    proptest! {
        #[test]
        fn a_rounded_number_is_what_integers_make_it(value in -1_000_000_000_000_i128..1_000_000_000_000, step in 1_i128..1_000_000, decimals in 0_usize..4) {
            let unit = 10_i128.pow(decimals as u32);
            let text = if decimals == 0 {
                value.to_string()
            } else {
                format!("{}{}.{:0decimals$}", if value < 0 { "-" } else { "" }, value.abs() / unit, value.abs() % unit)
            };
            // In units of 10^-decimals: half away from zero.
            let scaled = step * unit;
            let multiple = (2 * value.abs() + scaled) / (2 * scaled);
            let wanted = value.signum() * multiple * step;
            prop_assert_eq!(rounded(&text, &step.to_string()), wanted.to_string());
        }
    }
}
