//! The sparse form: runs of equal registers.
//!
//!   00llllll             1 to 64 registers are zero
//!   01llllll llllllll    1 to 16384 registers are zero
//!   1vvvvvll             1 to 4 registers are v, from 1 to 32
//!
//! Together the runs cover all registers. Raising a register splits the run in which it lies into
//! at most three, and then joins neighbours that have become equal, so that the same elements in
//! the same order give the same bytes as in Redis.
//!
//! Not known here: the header, but for where the runs begin.

use std::fmt::Write as _;

use super::{Corrupt, HEADER_BYTES, REGISTERS};

const ZEROS_MAX: usize = 64;
const VALUES_MAX: usize = 4;
const VALUE_MAX: u8 = 32;

/// Runs that are looked at for joining after a change: the one before it, three that it made, and
/// the one behind them.
const JOINED_RUNS: usize = 5;

/// What became of a wish to raise a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is higher now.
    Yes,
    /// It was as high already.
    No,
    /// This form cannot say it, or not in so few bytes.
    DoesNotFit,
}

/// A run and the bytes that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    value: u8,
    len: usize,
    bytes: usize,
}

impl Run {
    fn read(body: &[u8], at: usize) -> Option<Self> {
        let byte = *body.get(at)?;
        let low = usize::from(byte & 63);
        Some(match byte >> 6 {
            0 => Run { value: 0, len: low + 1, bytes: 1 },
            1 => {
                let len = (low << 8 | usize::from(*body.get(at + 1)?)) + 1;
                Run { value: 0, len, bytes: 2 }
            }
            _ => Run { value: (byte >> 2 & 31) + 1, len: usize::from(byte & 3) + 1, bytes: 1 },
        })
    }
}

fn value_run(value: u8, len: usize) -> u8 {
    0x80 | value.wrapping_sub(1) << 2 | (len.wrapping_sub(1) & 3) as u8
}

/// Appends a run of zeros in the shortest form.
pub(super) fn write_zeros(out: &mut Vec<u8>, len: usize) {
    let Some(below) = len.checked_sub(1) else { return };
    if len > ZEROS_MAX {
        out.push(0x40 | (below >> 8) as u8);
    }
    out.push(below as u8);
}

fn write_run(out: &mut Vec<u8>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, _) => write_zeros(out, len),
        _ => out.push(value_run(value, len)),
    }
}

/// Shows each run: its first register, its length, its value. The runs lie within the registers.
pub(super) fn each_run(
    body: &[u8],
    mut visit: impl FnMut(usize, usize, u8),
) -> Result<(), Corrupt> {
    let (mut at, mut register) = (0, 0);
    while at < body.len() {
        let run = Run::read(body, at).ok_or(Corrupt)?;
        if register + run.len > REGISTERS {
            return Err(Corrupt);
        }
        visit(register, run.len, run.value);
        register += run.len;
        at += run.bytes;
    }
    if register == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The run in which a register lies.
struct Place {
    /// Where the run begins.
    at: usize,
    /// Where the one before it begins.
    before: Option<usize>,
    /// The run's first register.
    first: usize,
    run: Run,
}

fn find(body: &[u8], index: usize) -> Result<Place, Corrupt> {
    let (mut at, mut before, mut first) = (0, None, 0);
    loop {
        let run = Run::read(body, at).ok_or(Corrupt)?;
        if index < first + run.len {
            return Ok(Place { at, before, first, run });
        }
        first += run.len;
        before = Some(at);
        at += run.bytes;
    }
}

/// Raises a register to a value, if it is lower.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::DoesNotFit);
    }
    let body = bytes.get(HEADER_BYTES..).ok_or(Corrupt)?;
    let Place { at, before, first, run } = find(body, index)?;
    if run.value >= value {
        return Ok(Raised::No);
    }
    let mut parts = Vec::with_capacity(5);
    write_run(&mut parts, run.value, index - first);
    write_run(&mut parts, value, 1);
    write_run(&mut parts, run.value, first + run.len - index - 1);
    let grows = parts.len() > run.bytes;
    if grows && bytes.len() + parts.len() - run.bytes > bytes_max {
        return Ok(Raised::DoesNotFit);
    }
    let at = at + HEADER_BYTES;
    bytes.splice(at..at + run.bytes, parts);
    join(bytes, before.unwrap_or(0) + HEADER_BYTES);
    Ok(Raised::Yes)
}

/// Joins neighbours of equal value, from a run on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS {
        let Some(run) = Run::read(bytes, at) else { return };
        if run.value == 0 {
            at += run.bytes;
            continue;
        }
        match Run::read(bytes, at + 1) {
            Some(next) if next.value == run.value && run.len + next.len <= VALUES_MAX => {
                bytes.remove(at);
                if let Some(place) = bytes.get_mut(at) {
                    *place = value_run(run.value, run.len + next.len);
                }
            }
            _ => at += 1,
        }
    }
}

/// The runs as text: `z` is the short form of zeros, `Z` the long one, `v:value,length` the rest.
pub(super) fn shown(body: &[u8]) -> Result<String, Corrupt> {
    let (mut text, mut at) = (String::new(), 0);
    while at < body.len() {
        let run = Run::read(body, at).ok_or(Corrupt)?;
        let gap = if at == 0 { "" } else { " " };
        let _ = match (run.value, run.bytes) {
            (0, 1) => write!(text, "{gap}z:{}", run.len),
            (0, _) => write!(text, "{gap}Z:{}", run.len),
            (value, _) => write!(text, "{gap}v:{value},{}", run.len),
        };
        at += run.bytes;
    }
    Ok(text)
}
