//! Integers of any width at any bit of a string.
//!
//! A field is read and written through the nine bytes in which 64 bits at an odd place may lie.
//! What a number that does not fit becomes is the caller's choice ([`Overflow`]).
//!
//! Not known here: the words of BITFIELD.

/// The width of a field in bits, and whether its highest bit is a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    signed: bool,
    bits: u32,
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its lower bits.
    Wrap,
    /// The nearest number that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The number before.
    pub old: i64,
    /// The number now.
    pub new: i64,
}

impl FieldType {
    /// `i1` to `i64` and `u1` to `u63`, as clients write them.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (kind, digits) = text.split_first()?;
        let bits = u32::try_from(crate::number::parse_i64(digits)?).ok()?;
        match kind {
            b'i' if (1..=64).contains(&bits) => Some(Self { signed: true, bits }),
            b'u' if (1..=63).contains(&bits) => Some(Self { signed: false, bits }),
            _ => None,
        }
    }

    /// Its width.
    pub fn bits(self) -> u64 {
        u64::from(self.bits)
    }

    /// The number at a bit; beyond the end all bits are clear.
    pub fn read(self, bytes: &[u8], at: u64) -> i64 {
        let window = window(bytes, at);
        let raw = (window << (at % 8 + 56)) >> (128 - self.bits);
        self.number(raw as u64)
    }

    /// Sets the number at a bit; `None` when it does not fit and `overflow` says to fail. The
    /// string must reach to the end of the field.
    pub fn set(self, bytes: &mut [u8], at: u64, value: i64, overflow: Overflow) -> Option<Written> {
        let old = self.read(bytes, at);
        // An unsigned field takes a negative number for a very large one.
        let wide = if self.signed { i128::from(value) } else { i128::from(value as u64) };
        self.write(bytes, at, old, wide, overflow)
    }

    /// Adds to the number at a bit, otherwise like [`FieldType::set`].
    pub fn add(self, bytes: &mut [u8], at: u64, by: i64, overflow: Overflow) -> Option<Written> {
        let old = self.read(bytes, at);
        self.write(bytes, at, old, i128::from(old) + i128::from(by), overflow)
    }

    fn write(
        self,
        bytes: &mut [u8],
        at: u64,
        old: i64,
        wide: i128,
        overflow: Overflow,
    ) -> Option<Written> {
        let (min, max) = self.range();
        let fitting = match overflow {
            Overflow::Fail if wide < min || wide > max => return None,
            Overflow::Saturate => wide.clamp(min, max),
            Overflow::Wrap | Overflow::Fail => wide,
        };
        let raw = (fitting as u64) & self.mask();
        let shift = 72 - at % 8 - u64::from(self.bits);
        let cleared = window(bytes, at) & !(u128::from(self.mask()) << shift);
        put_window(bytes, at, cleared | u128::from(raw) << shift);
        Some(Written { old, new: self.number(raw) })
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    fn number(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { ((raw << unused) as i64) >> unused } else { raw as i64 }
    }

    fn range(self) -> (i128, i128) {
        let all = i128::from(self.mask());
        if self.signed { (-(all / 2) - 1, all / 2) } else { (0, all) }
    }
}

/// The nine bytes from the one in which a bit lies, as the lower 72 bits of a number.
fn window(bytes: &[u8], at: u64) -> u128 {
    let from = usize::try_from(at / 8).unwrap_or(usize::MAX);
    let found = bytes.get(from..).unwrap_or_default();
    let mut nine = [0; 16];
    for (place, byte) in nine.iter_mut().skip(7).zip(found.iter().take(9)) {
        *place = *byte;
    }
    u128::from_be_bytes(nine)
}

fn put_window(bytes: &mut [u8], at: u64, window: u128) {
    let from = usize::try_from(at / 8).unwrap_or(usize::MAX);
    let found = bytes.get_mut(from..).unwrap_or_default();
    for (place, byte) in found.iter_mut().take(9).zip(window.to_be_bytes().iter().skip(7)) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> FieldType {
        FieldType::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_widths_that_a_reply_can_carry_are_types() {
        for good in ["i1", "i64", "u1", "u63"] {
            assert!(FieldType::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "i", "u", "i0", "i65", "u64", "u-1", "x8", "I8", "u08", "u 8", "8"] {
            assert!(FieldType::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_width_at_every_bit_keeps_its_number_and_its_neighbours() {
        for bits in 1..=64_u32 {
            for at in 0..20_u64 {
                for fill in [0x00, 0xff] {
                    let kind = FieldType { signed: true, bits };
                    let mut bytes = vec![fill; 12];
                    let before = bytes.clone();
                    let wanted = 0x5a5a_5a5a_5a5a_5a5a_u64 as i64;
                    kind.set(&mut bytes, at, wanted, Overflow::Wrap).unwrap();
                    let unused = 64 - bits;
                    assert_eq!(kind.read(&bytes, at), (wanted << unused) >> unused);
                    for bit in (0..96).filter(|bit| !(at..at + u64::from(bits)).contains(bit)) {
                        assert_eq!(super::super::get(&bytes, bit), super::super::get(&before, bit));
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_wraps_saturates_or_fails() {
        let mut bytes = vec![0; 9];
        let u8 = field("u8");
        assert_eq!(u8.add(&mut bytes, 3, 300, Overflow::Wrap).unwrap().new, 44);
        assert_eq!(u8.add(&mut bytes, 3, 300, Overflow::Saturate).unwrap().new, 255);
        assert_eq!(u8.add(&mut bytes, 3, 1, Overflow::Fail), None);
        assert_eq!(u8.add(&mut bytes, 3, -300, Overflow::Saturate).unwrap().new, 0);
        assert_eq!(u8.set(&mut bytes, 3, -1, Overflow::Saturate).unwrap().new, 255);
        let i8 = field("i8");
        assert_eq!(i8.set(&mut bytes, 0, 128, Overflow::Wrap).unwrap().new, -128);
        assert_eq!(i8.add(&mut bytes, 0, -1, Overflow::Saturate).unwrap().new, -128);
        assert_eq!(
            i8.add(&mut bytes, 0, -1, Overflow::Wrap),
            Some(Written { old: -128, new: 127 })
        );
        let i64 = field("i64");
        assert_eq!(i64.set(&mut bytes, 7, i64::MAX, Overflow::Fail).unwrap().new, i64::MAX);
        assert_eq!(i64.add(&mut bytes, 7, 1, Overflow::Fail), None);
        assert_eq!(i64.add(&mut bytes, 7, 1, Overflow::Wrap).unwrap().new, i64::MIN);
    }

    #[test]
    fn beyond_the_end_all_bits_are_clear() {
        assert_eq!(field("u16").read(&[0xff], 0), 0xff00);
        assert_eq!(field("i64").read(&[], 1 << 40), 0);
    }
}
