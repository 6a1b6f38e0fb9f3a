//! HyperLogLog: how many different elements were added, in 12 KiB at most, off by 0.81 % typically.
//!
//! It is a string that clients may GET, SET and DUMP, so every byte is as Redis lays it out:
//!
//!   0      4    5    8           16
//!   "HYLL" form 000  cardinality registers ...
//!
//! The cardinality is a cache of eight bytes, lowest first; the highest bit says that it is stale.
//! There are 16384 registers. An element's hash chooses one by its low 14 bits and offers it the
//! length of the run of zeros behind them, plus one; a register keeps the largest offer.
//!
//!   form 0, dense   six bits a register, lowest bits first: 12288 bytes       [`dense`]
//!   form 1, sparse  runs of equal registers, for sets of few elements        [`sparse`]
//!
//! A sparse one becomes dense when it grows beyond a limit or holds a value above 32. Whatever a
//! client put into the string, reading it ends, and gives [`Corrupt`] where it makes no sense.
//!
//! Not known here: keys, and that the string is one.

mod dense;
mod estimate;
mod murmur;
mod sparse;

use dense::DENSE_BYTES;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 14;

/// The bits of a hash that count zeros; a register's largest value is one more.
const RUN_BITS: u32 = 64 - INDEX_BITS;

const HEADER_BYTES: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u8 = 0x80;

/// All registers, a byte each.
pub type Registers = [u8; REGISTERS];

/// The string is not a HyperLogLog at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the string is not a HyperLogLog")]
pub struct NotOne;

/// The header is right and the registers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registers of the HyperLogLog make no sense")]
pub struct Corrupt;

/// An empty one, in the sparse form.
pub fn new() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 2);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[SPARSE, 0, 0, 0]);
    bytes.extend_from_slice(&[0; 8]);
    sparse::write_zeros(&mut bytes, REGISTERS);
    bytes
}

/// Whether a string has the header of one, and in the dense form the right length.
pub fn check(bytes: &[u8]) -> Result<(), NotOne> {
    let right = match bytes.get(..HEADER_BYTES) {
        Some([b'H', b'Y', b'L', b'L', DENSE, ..]) => bytes.len() == HEADER_BYTES + DENSE_BYTES,
        Some([b'H', b'Y', b'L', b'L', SPARSE, ..]) => true,
        _ => false,
    };
    if right { Ok(()) } else { Err(NotOne) }
}

/// Whether it is in the sparse form.
pub fn is_sparse(bytes: &[u8]) -> bool {
    bytes.get(MAGIC.len()) == Some(&SPARSE)
}

/// The cached cardinality, unless it is stale.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let cache = bytes.get(8..HEADER_BYTES)?;
    let number = u64::from_le_bytes(cache.try_into().ok()?);
    (number >> 63 == 0).then_some(number)
}

/// Keeps a cardinality for the next time.
pub fn cache(bytes: &mut [u8], cardinality: u64) {
    if let Some(place) = bytes.get_mut(8..HEADER_BYTES) {
        place.copy_from_slice(&(cardinality & (u64::MAX >> 1)).to_le_bytes());
    }
}

/// Says that the cached cardinality is not true any more.
pub fn forget_cached(bytes: &mut [u8]) {
    if let Some(highest) = bytes.get_mut(HEADER_BYTES - 1) {
        *highest |= STALE;
    }
}

/// Adds an element: whether a register changed. The sparse form becomes dense rather than longer
/// than `sparse_bytes_max`.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let (index, value) = offer(element);
    raise(bytes, index, value, sparse_bytes_max)
}

/// The register that an element chooses, and what it offers.
fn offer(element: &[u8]) -> (usize, u8) {
    let hash = murmur::hash(element);
    let index = hash as usize & (REGISTERS - 1);
    // The bit above the run ends it, so that a run is never longer than the bits that there are.
    let run = (hash >> INDEX_BITS) | 1 << RUN_BITS;
    (index, run.trailing_zeros() as u8 + 1)
}

/// Raises a register to a value, if it is lower: whether it was.
fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes_max: usize,
) -> Result<bool, Corrupt> {
    if is_sparse(bytes) {
        match sparse::raise(bytes, index, value, sparse_bytes_max)? {
            sparse::Raised::Yes => return Ok(true),
            sparse::Raised::No => return Ok(false),
            sparse::Raised::DoesNotFit => make_dense(bytes)?,
        }
    }
    Ok(dense::raise(bytes.get_mut(HEADER_BYTES..).unwrap_or_default(), index, value))
}

/// Changes to the dense form, if it is sparse.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if !is_sparse(bytes) {
        return Ok(());
    }
    let mut registers = [0; REGISTERS];
    merge_into(&mut registers, bytes)?;
    let mut new = Vec::with_capacity(HEADER_BYTES + DENSE_BYTES);
    new.extend_from_slice(bytes.get(..HEADER_BYTES).ok_or(Corrupt)?);
    if let Some(form) = new.get_mut(MAGIC.len()) {
        *form = DENSE;
    }
    dense::write(&mut new, &registers);
    *bytes = new;
    Ok(())
}

/// Raises each register to that of a HyperLogLog.
pub fn merge_into(registers: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    let body = bytes.get(HEADER_BYTES..).ok_or(Corrupt)?;
    if !is_sparse(bytes) {
        dense::merge_into(registers, body);
        return Ok(());
    }
    sparse::each_run(body, |from, len, value| {
        let run = registers.get_mut(from..from + len).unwrap_or_default();
        run.iter_mut().for_each(|register| *register = (*register).max(value));
    })
}

/// Raises the registers of a HyperLogLog to those given; it is dense afterwards if `dense` says so.
pub fn raise_all(
    bytes: &mut Vec<u8>,
    registers: &Registers,
    dense: bool,
    sparse_bytes_max: usize,
) -> Result<(), Corrupt> {
    if dense {
        make_dense(bytes)?;
    }
    for (index, value) in registers.iter().enumerate().filter(|(_, value)| **value > 0) {
        raise(bytes, index, *value, sparse_bytes_max)?;
    }
    Ok(())
}

/// How many different elements were added, by its registers.
pub fn cardinality(bytes: &[u8]) -> Result<u64, Corrupt> {
    let body = bytes.get(HEADER_BYTES..).ok_or(Corrupt)?;
    let mut histogram = estimate::Histogram::default();
    if is_sparse(bytes) {
        sparse::each_run(body, |_, len, value| histogram.add(value, len))?;
    } else {
        dense::each(body, |value| histogram.add(value, 1));
    }
    Ok(histogram.estimate())
}

/// The same for registers that stand alone.
pub fn cardinality_of(registers: &Registers) -> u64 {
    let mut histogram = estimate::Histogram::default();
    registers.iter().for_each(|value| histogram.add(*value, 1));
    histogram.estimate()
}

/// The runs of a sparse one as PFDEBUG DECODE shows them: `Z:16382 v:1,2` and so on.
pub fn shown(bytes: &[u8]) -> Result<String, Corrupt> {
    sparse::shown(bytes.get(HEADER_BYTES..).ok_or(Corrupt)?)
}

#[cfg(test)]
mod tests;
