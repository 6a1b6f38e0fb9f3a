//! LZF, the small compressor of RDB strings and listpacks.
//!
//! A stream is a row of runs. The first byte tells the kind:
//!
//!   000LLLLL                      L+1 literal bytes follow
//!   LLLooooo oooooooo             copy L+2 bytes from offset o+1 before here (L in 1..=6)
//!   111ooooo LLLLLLLL oooooooo    the same with a length of L+9
//!
//! A copy may overlap what it writes, which is how a long row of equal bytes becomes four bytes.
//! Positions are looked up by a hash of three bytes in one table that lives as long as the
//! [`Compressor`]; it never needs clearing, because entries from before carry positions below
//! `base`. Not known here: when it is worth compressing.

use thiserror::Error;

const TABLE_BITS: u32 = 13;
const LITERALS_MAX: usize = 32;
const OFFSET_MAX: usize = 1 << 13;
const COPY_MAX: usize = 264;
/// The densest stream: three bytes make 264.
const GROWTH_MAX: usize = COPY_MAX / 3;

/// Compresses one input after another with one table.
#[derive(Debug)]
pub struct Compressor {
    table: Vec<u32>,
    base: u32,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { table: vec![0; 1 << TABLE_BITS], base: 1 }
    }
}

impl Compressor {
    /// Compresses `input`; `None` when the result would be longer than `length_max`.
    pub fn compress(&mut self, input: &[u8], length_max: usize) -> Option<Vec<u8>> {
        let length = u32::try_from(input.len()).ok()?;
        if self.base.checked_add(length).is_none() {
            self.table.fill(0);
            self.base = 1;
        }
        let base = self.base;
        self.base = base.checked_add(length)?;
        let mut out = Vec::with_capacity(input.len().min(length_max));
        let mut literals_from = 0;
        let mut at = 0;
        while let Some(three) = input.get(at..).and_then(|rest| rest.first_chunk::<3>()) {
            let Some(slot) = self.table.get_mut(hash(*three)) else { break };
            let seen = std::mem::replace(slot, base + at as u32);
            let copy = seen
                .checked_sub(base)
                .map(|from| from as usize)
                .filter(|from| at - from <= OFFSET_MAX)
                .map(|from| (at - from, match_length(input, from, at)))
                .filter(|(_, length)| *length >= 3);
            let Some((offset, length)) = copy else {
                at += 1;
                continue;
            };
            push_literals(&mut out, input.get(literals_from..at)?);
            push_copy(&mut out, offset, length);
            at += length;
            literals_from = at;
            if out.len() > length_max {
                return None;
            }
        }
        push_literals(&mut out, input.get(literals_from..)?);
        (out.len() <= length_max).then_some(out)
    }
}

fn hash(three: [u8; 3]) -> usize {
    let word = u32::from_le_bytes([three[0], three[1], three[2], 0]);
    (word.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize
}

fn match_length(input: &[u8], from: usize, at: usize) -> usize {
    let (Some(earlier), Some(here)) = (input.get(from..), input.get(at..)) else { return 0 };
    earlier.iter().zip(here).take(COPY_MAX).take_while(|(a, b)| a == b).count()
}

fn push_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn push_copy(out: &mut Vec<u8>, offset: usize, length: usize) {
    let offset = offset - 1;
    let length = length - 2;
    if length < 7 {
        out.push(((length << 5) | (offset >> 8)) as u8);
    } else {
        out.push(((7 << 5) | (offset >> 8)) as u8);
        out.push((length - 7) as u8);
    }
    out.push(offset as u8);
}

/// A compressed string that cannot be what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("failed to decompress an LZF string")]
pub struct Damaged;

/// Decompresses `input`, which must make exactly `length` bytes.
///
/// Memory grows with what the input really makes, never by the header's word alone.
pub fn decompress(input: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    if length > input.len().saturating_mul(GROWTH_MAX) {
        return Err(Damaged);
    }
    let mut out: Vec<u8> = Vec::with_capacity(length.min(input.len().saturating_mul(4)));
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        if control < 32 {
            let (run, after) = after.split_at_checked(control as usize + 1).ok_or(Damaged)?;
            out.extend_from_slice(run);
            rest = after;
        } else {
            let mut copy = (control >> 5) as usize + 2;
            rest = after;
            if copy == 9 {
                copy += next(&mut rest)?;
            }
            let offset = ((((control & 0x1f) as usize) << 8) | next(&mut rest)?) + 1;
            let from = out.len().checked_sub(offset).ok_or(Damaged)?;
            copy_within(&mut out, from, copy).ok_or(Damaged)?;
        }
        if out.len() > length {
            return Err(Damaged);
        }
    }
    if out.len() == length { Ok(out) } else { Err(Damaged) }
}

fn next(rest: &mut &[u8]) -> Result<usize, Damaged> {
    let (&byte, after) = rest.split_first().ok_or(Damaged)?;
    *rest = after;
    Ok(byte as usize)
}

fn copy_within(out: &mut Vec<u8>, from: usize, length: usize) -> Option<()> {
    if from + length <= out.len() {
        out.extend_from_within(from..from + length);
        return Some(());
    }
    for at in from..from + length {
        let byte = *out.get(at)?;
        out.push(byte);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(
            words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..8),
            picks in proptest::collection::vec(any::<usize>(), 0..300),
        ) {
            let input: Vec<u8> =
                picks.iter().flat_map(|pick| words[pick % words.len()].clone()).collect();
            let mut compressor = Compressor::default();
            for _ in 0..2 {
                if let Some(packed) = compressor.compress(&input, input.len() * 2 + 8) {
                    prop_assert_eq!(decompress(&packed, input.len()), Ok(input.clone()));
                }
            }
        }

        #[test]
        fn any_input_is_an_answer_and_never_a_panic(
            input in proptest::collection::vec(any::<u8>(), 0..200),
            length in 0usize..100_000,
        ) {
            if let Ok(out) = decompress(&input, length) {
                prop_assert_eq!(out.len(), length);
            }
        }
    }

    #[test]
    fn a_long_row_of_equal_bytes_becomes_small() {
        let input = vec![b'x'; 10_000];
        let packed = Compressor::default().compress(&input, input.len() - 4).unwrap();
        assert!(packed.len() < 200, "{} bytes", packed.len());
        assert_eq!(decompress(&packed, input.len()), Ok(input));
    }

    #[test]
    fn noise_is_not_worth_it() {
        let mut state = 1u64;
        let input: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .take(500)
        .collect();
        assert_eq!(Compressor::default().compress(&input, input.len() - 4), None);
    }

    #[test]
    fn a_length_that_the_input_cannot_make_is_refused_without_allocating_it() {
        assert_eq!(decompress(b"\x00a", usize::MAX), Err(Damaged));
        assert_eq!(decompress(b"\x00a", 2), Err(Damaged));
        assert_eq!(decompress(b"\x20\x05", 3), Err(Damaged));
    }
}
