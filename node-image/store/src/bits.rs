//! Strings as arrays of bits.
//!
//! Bit 0 is the highest bit of the first byte, as everywhere in this family of commands:
//!
//!   byte      0               1
//!   bit       0 1 2 3 4 5 6 7 8 9 ...
//!
//! Counting, searching and combining go eight bytes at a time. A range of bits that begins or ends
//! within a byte is a run of whole bytes with a masked byte at either end.
//!
//! Not known here: keys, negative places, limits; the commands turn what clients say into ranges
//! that lie within the string.

mod field;

pub use field::{FieldType, Overflow, Written};

const WORD_BYTES: usize = 8;

/// How BITOP combines strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOp {
    /// A bit is set where all have it.
    And,
    /// A bit is set where one has it.
    Or,
    /// A bit is set where an odd number has it.
    Xor,
}

/// The bit at a place; beyond the end all bits are clear.
pub fn get(bytes: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|byte| bytes.get(byte));
    byte.is_some_and(|byte| byte & mask_of(at) != 0)
}

/// Sets or clears a bit and gives what it was; nothing happens beyond the end.
pub fn set(bytes: &mut [u8], at: u64, on: bool) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|byte| bytes.get_mut(byte));
    let Some(byte) = byte else { return false };
    let was = *byte & mask_of(at) != 0;
    if on {
        *byte |= mask_of(at);
    } else {
        *byte &= !mask_of(at);
    }
    was
}

fn mask_of(at: u64) -> u8 {
    0x80 >> (at % 8)
}

/// The number of set bits from `first` to `last`, both counted.
pub fn count(bytes: &[u8], first: u64, last: u64) -> u64 {
    let Some(Cut { head, middle, tail, .. }) = cut(bytes, first, last) else { return 0 };
    let (words, rest) = middle.as_chunks::<WORD_BYTES>();
    let of_words: u64 =
        words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let of_rest: u64 = rest.iter().map(|byte| u64::from(byte.count_ones())).sum();
    of_words + of_rest + u64::from(head.count_ones()) + u64::from(tail.count_ones())
}

/// The first place from `first` to `last`, both looked at, where the bit is `wanted`.
pub fn position(bytes: &[u8], wanted: bool, first: u64, last: u64) -> Option<u64> {
    let cut = cut(bytes, first, last)?;
    // Looking for a clear bit is looking for a set one in the complement, within the masks.
    let flip = if wanted { 0 } else { 0xff };
    let head = (cut.head ^ flip) & cut.head_mask;
    if head != 0 {
        return Some(first / 8 * 8 + u64::from(head.leading_zeros()));
    }
    let middle_at = (first / 8 + 1) * 8;
    let skipped = if wanted { 0 } else { u64::MAX };
    let (words, rest) = cut.middle.as_chunks::<WORD_BYTES>();
    let run = words.iter().take_while(|word| u64::from_ne_bytes(**word) == skipped).count();
    let behind_run = words.get(run..).unwrap_or_default();
    let mut at = middle_at + (run * WORD_BYTES * 8) as u64;
    if let Some(word) = behind_run.first() {
        return Some(at + u64::from((u64::from_be_bytes(*word) ^ skipped).leading_zeros()));
    }
    for byte in rest {
        if byte ^ flip != 0 {
            return Some(at + u64::from((byte ^ flip).leading_zeros()));
        }
        at += 8;
    }
    let tail = (cut.tail ^ flip) & cut.tail_mask;
    (tail != 0).then(|| at + u64::from(tail.leading_zeros()))
}

/// A range of bits: two bytes of which only a part counts, and whole bytes between them.
struct Cut<'a> {
    head: u8,
    head_mask: u8,
    middle: &'a [u8],
    tail: u8,
    tail_mask: u8,
}

/// `None` for a range that is empty or reaches beyond the end.
fn cut(bytes: &[u8], first: u64, last: u64) -> Option<Cut<'_>> {
    let from = usize::try_from(first / 8).ok()?;
    let to = usize::try_from(last / 8).ok()?;
    if first > last || to >= bytes.len() {
        return None;
    }
    let mut head_mask = 0xff_u8 >> (first % 8);
    let end_mask = 0xff_u8 << (7 - last % 8);
    if from == to {
        head_mask &= end_mask;
        let head = bytes.get(from)? & head_mask;
        return Some(Cut { head, head_mask, middle: &[], tail: 0, tail_mask: 0 });
    }
    Some(Cut {
        head: bytes.get(from)? & head_mask,
        head_mask,
        middle: bytes.get(from + 1..to)?,
        tail: bytes.get(to)? & end_mask,
        tail_mask: end_mask,
    })
}

/// Combines one more string into a result. The result is as long as the longest string; shorter
/// ones count as filled up with zeros.
pub fn combine_into(op: BitOp, result: &mut Vec<u8>, other: &[u8]) {
    if result.len() < other.len() {
        result.resize(other.len(), 0);
    }
    match op {
        BitOp::And => {
            each_word(result, other, |a, b| a & b);
            // What the shorter string lacks is zero.
            result.iter_mut().skip(other.len()).for_each(|byte| *byte = 0);
        }
        BitOp::Or => each_word(result, other, |a, b| a | b),
        BitOp::Xor => each_word(result, other, |a, b| a ^ b),
    }
}

/// Turns each bit into its opposite.
pub fn invert(bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<WORD_BYTES>();
    words.iter_mut().for_each(|word| *word = (!u64::from_ne_bytes(*word)).to_ne_bytes());
    rest.iter_mut().for_each(|byte| *byte = !*byte);
}

/// Combines `other` into the beginning of `result`, eight bytes at a time.
fn each_word(result: &mut [u8], other: &[u8], combine: impl Fn(u64, u64) -> u64) {
    let len = result.len().min(other.len());
    let (words, rest) = result.get_mut(..len).unwrap_or_default().as_chunks_mut::<WORD_BYTES>();
    let (other_words, other_rest) = other.get(..len).unwrap_or_default().as_chunks::<WORD_BYTES>();
    for (word, with) in words.iter_mut().zip(other_words) {
        *word = combine(u64::from_ne_bytes(*word), u64::from_ne_bytes(*with)).to_ne_bytes();
    }
    for (byte, with) in rest.iter_mut().zip(other_rest) {
        *byte = combine(u64::from(*byte), u64::from(*with)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits one at a time: slow and obvious.
    fn bits(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8).map(|at| get(bytes, at)).collect()
    }

    fn noise(len: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn a_bit_is_found_where_it_was_set_and_nowhere_else() {
        let mut bytes = vec![0; 3];
        assert!(!set(&mut bytes, 9, true));
        assert_eq!(bytes, [0, 0x40, 0]);
        assert!(get(&bytes, 9) && !get(&bytes, 8) && !get(&bytes, 1_000_000));
        assert!(set(&mut bytes, 9, false));
        assert!(!set(&mut bytes, 24, true), "beyond the end nothing happens");
        assert_eq!(bytes, [0, 0, 0]);
    }

    #[test]
    fn ranges_are_counted_and_searched_as_one_bit_at_a_time_would() {
        for (len, seed) in [(1, 1), (2, 2), (9, 3), (17, 4), (40, 5)] {
            for bytes in [noise(len, seed), vec![0; len], vec![0xff; len]] {
                let all = bits(&bytes);
                for first in 0..all.len() {
                    for last in first..all.len() {
                        let range = &all[first..=last];
                        let ones = range.iter().filter(|bit| **bit).count();
                        let (first, last) = (first as u64, last as u64);
                        assert_eq!(count(&bytes, first, last), ones as u64);
                        for wanted in [false, true] {
                            let place = range.iter().position(|bit| *bit == wanted);
                            let place = place.map(|at| at as u64 + first);
                            assert_eq!(position(&bytes, wanted, first, last), place);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_range_beyond_the_end_has_no_bits() {
        assert_eq!(count(&[0xff], 0, 8), 0);
        assert_eq!(position(&[0xff], true, 3, 2), None);
        assert_eq!(position(&[], false, 0, 0), None);
    }

    #[test]
    fn strings_of_different_lengths_are_combined_as_if_filled_up_with_zeros() {
        let (a, b, c) = (noise(21, 1), noise(8, 2), noise(13, 3));
        let sources: [&[u8]; 3] = [&a, &b, &c];
        let at = |source: &[u8], place: usize| source.get(place).copied().unwrap_or(0);
        for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
            let sources = order.map(|at: usize| sources[at]);
            let all = |op| {
                let mut result = sources[0].to_vec();
                sources[1..].iter().for_each(|source| combine_into(op, &mut result, source));
                result
            };
            let (and, or, xor) = (all(BitOp::And), all(BitOp::Or), all(BitOp::Xor));
            assert_eq!([and.len(), or.len(), xor.len()], [21; 3]);
            for place in 0..21 {
                let [x, y, z] = [at(&a, place), at(&b, place), at(&c, place)];
                assert_eq!([and[place], or[place], xor[place]], [x & y & z, x | y | z, x ^ y ^ z]);
            }
        }
        let mut bytes = a.clone();
        invert(&mut bytes);
        assert!(bytes.iter().zip(&a).all(|(new, old)| *new == !old));
    }
}
