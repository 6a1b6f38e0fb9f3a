//! Adding numbers with a fraction, for INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Clients see the digits of the sum, and Redis computes them with the 80-bit numbers of x86: 64
//! bits of mantissa, to the nearest, ties to even, written with 17 places and without the zeros
//! at their end. So that 0.1 and 0.2 come to 0.3, and 1000000.1 and 0.1 to the same digits here
//! as there, on any machine, the format is made here from integers.
//!
//!   value = mantissa * 2^exponent, the mantissa's highest bit set, or zero
//!
//! Not known here: what is done with the sum.

use std::cmp::Ordering;

mod big;

use big::Big;

/// The longest text that is read, and written.
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// No number but zero has a larger power of two behind its digits.
const POWER_MAX: i32 = 17_000;

/// No number has a larger power of ten behind its digits.
const POWER_OF_TEN_MAX: i32 = 4_932;

/// The exponent of the highest bit must stay below this.
const HIGHEST_BIT_MAX: i32 = 16384;

/// The exponent of the highest bit of the smallest number.
const HIGHEST_BIT_MIN: i32 = -16445;

/// Why there is no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatError {
    /// The text is not a number, or too large or too small a one.
    NotANumber,
    /// The sum has no finite value.
    NotFinite,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Extended {
    Finite { negative: bool, mantissa: u64, exponent: i32 },
    Infinite,
}

/// The sum of two numbers in decimal.
pub fn add(left: &[u8], right: &[u8]) -> Result<Vec<u8>, FloatError> {
    let left = parse(left).ok_or(FloatError::NotANumber)?;
    let right = parse(right).ok_or(FloatError::NotANumber)?;
    sum(left, right).and_then(format).ok_or(FloatError::NotFinite)
}

/// A number as a double; `None` for what is none, and for one that a double cannot hold.
pub fn to_f64(text: &[u8]) -> Option<f64> {
    let Extended::Finite { negative, mantissa, exponent } = parse(text)? else {
        return Some(if text.starts_with(b"-") { f64::NEG_INFINITY } else { f64::INFINITY });
    };
    // Decimal text is rounded once, by the standard library, which does not read hexadecimal.
    let decimal = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let number = decimal.unwrap_or_else(|| {
        let sign = if negative { -1.0 } else { 1.0 };
        sign * mantissa as f64 * f64::from(exponent).exp2()
    });
    (number.is_finite() && (number != 0.0 || mantissa == 0)).then_some(number)
}

fn parse(text: &[u8]) -> Option<Extended> {
    if text.len() >= TEXT_BYTES_MAX {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
        return Some(Extended::Infinite);
    }
    match digits {
        [b'0', b'x' | b'X', rest @ ..] => parse_radix(negative, rest, 16, b'p'),
        _ => parse_radix(negative, digits, 10, b'e'),
    }
}

/// Reads digits, perhaps a point, perhaps an exponent.
fn parse_radix(negative: bool, text: &[u8], radix: u32, mark: u8) -> Option<Extended> {
    let mut number = Big::default();
    let mut places: i32 = 0;
    let mut digits = 0;
    let mut point = false;
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        if let Some(digit) = char::from(*byte).to_digit(radix) {
            number.multiply_add(radix, digit);
            digits += 1;
            places += i32::from(point);
        } else if *byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        rest = after;
    }
    if digits == 0 {
        return None;
    }
    let mut power: i32 = 0;
    if let Some((byte, after)) = rest.split_first() {
        if !byte.eq_ignore_ascii_case(&mark) {
            return None;
        }
        power = parse_power(after)?;
    }
    if number.is_zero() {
        return Some(Extended::Finite { negative, mantissa: 0, exponent: 0 });
    }
    // Beyond any number of the format, and not worth the work to find out exactly.
    if power > POWER_MAX || power < -(POWER_MAX + TEXT_BYTES_MAX as i32) {
        return None;
    }
    let (mantissa, exponent) = if radix == 16 {
        round(&number, power - 4 * places, false)
    } else {
        scale(number, power - places)
    };
    let highest = exponent + 63;
    let fits = (HIGHEST_BIT_MIN..HIGHEST_BIT_MAX).contains(&highest);
    fits.then_some(Extended::Finite { negative, mantissa, exponent })
}

fn parse_power(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut power: i32 = 0;
    for digit in digits {
        power = power.saturating_mul(10).saturating_add(i32::from(digit - b'0'));
    }
    Some(if negative { -power } else { power })
}

/// `number * 10^power` as a mantissa and an exponent.
fn scale(mut number: Big, power: i32) -> (u64, i32) {
    if power >= 0 {
        if power > POWER_OF_TEN_MAX {
            return (0, HIGHEST_BIT_MAX);
        }
        powers_of_ten(power).for_each(|factor| number.multiply_add(factor, 0));
        return round(&number, 0, false);
    }
    // Room for the quotient to keep more bits than the mantissa has: 10^n has at most 4n bits.
    let shift = 4 * power.unsigned_abs() + 128;
    number.shift_left(shift);
    let mut inexact = false;
    for divisor in powers_of_ten(-power) {
        inexact |= number.divide(divisor) != 0;
    }
    round(&number, -(shift as i32), inexact)
}

/// Factors that come to `10^power`.
fn powers_of_ten(power: i32) -> impl Iterator<Item = u32> {
    let large = std::iter::repeat_n(1_000_000_000, power as usize / 9);
    large.chain(std::iter::repeat_n(10, power as usize % 9))
}

/// `number * 2^exponent` to 64 bits; `inexact` says that it was a little more than that.
fn round(number: &Big, exponent: i32, inexact: bool) -> (u64, i32) {
    let bits = number.bits() as i32;
    let (top, below) = number.top_bits();
    // The highest bit at place 127, one below for what got lost.
    let lost = u128::from(inexact || below);
    round_wide(top | lost, exponent + bits - 128)
}

/// A number with its highest bit at place 127, to 64 bits.
fn round_wide(wide: u128, exponent: i32) -> (u64, i32) {
    let mantissa = (wide >> 64) as u64;
    let up = match (wide as u64).cmp(&(1 << 63)) {
        Ordering::Less => false,
        Ordering::Equal => mantissa & 1 == 1,
        Ordering::Greater => true,
    };
    match mantissa.checked_add(u64::from(up)) {
        Some(mantissa) => (mantissa, exponent + 64),
        None => (1 << 63, exponent + 65),
    }
}

fn sum(left: Extended, right: Extended) -> Option<Extended> {
    let Extended::Finite { negative: left_negative, mantissa: m, exponent: e } = left else {
        return None;
    };
    let Extended::Finite { negative: right_negative, mantissa: n, exponent: f } = right else {
        return None;
    };
    if n == 0 {
        return Some(left);
    }
    if m == 0 {
        return Some(right);
    }
    if (f, n) > (e, m) {
        return sum(right, left);
    }
    // Both at one exponent, `e - 62`; what the smaller one loses leaves a trace in the last bit.
    let high = u128::from(m) << 62;
    let distance = (e - f) as u32;
    let low = match distance {
        0..=62 => u128::from(n) << (62 - distance),
        63..=125 => {
            let by = distance - 62;
            u128::from(n) >> by | u128::from(n & ((1_u64 << by.min(63)) - 1) != 0)
        }
        _ => 1,
    };
    let total = if left_negative == right_negative { high + low } else { high - low };
    if total == 0 {
        return Some(Extended::Finite { negative: false, mantissa: 0, exponent: 0 });
    }
    let zeros = total.leading_zeros();
    let (mantissa, exponent) = round_wide(total << zeros, e - 62 - zeros as i32);
    let finite = exponent + 63 < HIGHEST_BIT_MAX;
    finite.then_some(Extended::Finite { negative: left_negative, mantissa, exponent })
}

/// Writes a number with 17 places, without the zeros at their end.
fn format(number: Extended) -> Option<Vec<u8>> {
    let Extended::Finite { negative, mantissa, exponent } = number else { return None };
    let mut text = if exponent >= 0 {
        let mut whole = Big::from(mantissa);
        whole.shift_left(exponent as u32);
        whole.into_decimal()
    } else {
        fraction(mantissa, exponent.unsigned_abs())
    };
    if negative && text != b"0" {
        text.insert(0, b'-');
    }
    Some(text)
}

fn fraction(mantissa: u64, shift: u32) -> Vec<u8> {
    const UNIT: u128 = 100_000_000_000_000_000;
    let wide = u128::from(mantissa) * UNIT;
    let scaled = if shift >= 127 {
        0
    } else {
        let whole = wide >> shift;
        let rest = wide & ((1 << shift) - 1);
        let half = 1_u128 << (shift - 1);
        whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
    };
    let text = format!("{}.{:017}", scaled / UNIT, scaled % UNIT);
    text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(left: &str, right: &str) -> String {
        String::from_utf8(add(left.as_bytes(), right.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn sums_have_the_digits_that_redis_7_shows_on_x86() {
        let known = [
            ("1000000.1", "0.1", "1000000.20000000000004547"),
            ("0.1", "0.2", "0.3"),
            ("123456789.123", "0.001", "123456789.12399999999615829"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e20", "0.1", "100000000000000000000"),
            ("3.0e3", "200", "3200"),
            ("1e-10", "1e-19", "0.0000000001"),
            ("5", "-5.0000001", "-0.0000001"),
            ("99999.99", "0.01", "100000"),
            ("0x10", "1", "17"),
            ("1.", "1", "2"),
            (".5", "1", "1.5"),
            ("1e18", "0.1", "1000000000000000000.125"),
            ("+1", "1", "2"),
            ("1", "-1", "0"),
            ("-0", "0", "0"),
            ("1e-400", "-1e-18", "0"),
        ];
        for (left, right, expected) in known {
            assert_eq!(added(left, right), expected, "{left} + {right}");
            assert_eq!(added(right, left), expected, "{right} + {left}");
        }
    }

    #[test]
    fn large_numbers_are_written_out() {
        let text = added("1e300", "1");
        assert_eq!(text.len(), 301);
        assert!(text.starts_with("1000000000000000000008997324079559193870523"));
        assert!(text.ends_with("5104006144"));
    }

    #[test]
    fn doubles_are_read_in_decimal_and_hexadecimal() {
        let known = [("1.5", 1.5), ("-3e3", -3000.0), ("0x10", 16.0), ("-0x1.8p1", -3.0)];
        for (text, number) in known {
            assert_eq!(to_f64(text.as_bytes()), Some(number), "{text}");
        }
        assert_eq!(to_f64(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(to_f64(b"1e400"), None);
        assert_eq!(to_f64(b"1e-400"), None);
        assert_eq!(to_f64(b"1 "), None);
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in
            ["", " 1", "1 ", "abc", "nan", "1e", "--1", "1.2.3", "1\0", "1.5e-5000", "1e5000", "."]
        {
            assert_eq!(add(text.as_bytes(), b"1"), Err(FloatError::NotANumber), "{text:?}");
        }
        assert_eq!(add(b"inf", b"1"), Err(FloatError::NotFinite));
        assert_eq!(add(b"1", b"-infinity"), Err(FloatError::NotFinite));
        assert_eq!(add(b"1e4932", b"1.1e4932"), Err(FloatError::NotFinite));
    }
}
