//! The dense form: six bits a register, lowest bits first, so that three bytes hold four registers.
//!
//!   byte      0        1        2
//!   bits  11000000 22221111 33333322      (the digit is the register's)
//!
//! Not known here: the header.

use super::{REGISTERS, Registers};

/// The registers of the dense form.
pub(super) const DENSE_BYTES: usize = REGISTERS / 4 * 3;

fn unpack(three: [u8; 3]) -> [u8; 4] {
    let all = u32::from_le_bytes([three[0], three[1], three[2], 0]);
    [0, 6, 12, 18].map(|shift| (all >> shift) as u8 & 63)
}

fn pack(four: [u8; 4]) -> [u8; 3] {
    let mut all = 0_u32;
    for (register, shift) in four.into_iter().zip([0, 6, 12, 18]) {
        all |= u32::from(register & 63) << shift;
    }
    let [a, b, c, _] = all.to_le_bytes();
    [a, b, c]
}

/// Raises a register to a value, if it is lower: whether it was.
pub(super) fn raise(body: &mut [u8], index: usize, value: u8) -> bool {
    let (groups, _) = body.as_chunks_mut::<3>();
    let Some(group) = groups.get_mut(index / 4) else { return false };
    let mut four = unpack(*group);
    let Some(register) = four.get_mut(index % 4).filter(|register| **register < value) else {
        return false;
    };
    *register = value;
    *group = pack(four);
    true
}

/// Shows each register.
pub(super) fn each(body: &[u8], mut visit: impl FnMut(u8)) {
    for group in body.as_chunks::<3>().0 {
        unpack(*group).into_iter().for_each(&mut visit);
    }
}

/// Raises each of the registers to what stands here.
pub(super) fn merge_into(registers: &mut Registers, body: &[u8]) {
    for (four, group) in registers.as_chunks_mut::<4>().0.iter_mut().zip(body.as_chunks::<3>().0) {
        for (register, value) in four.iter_mut().zip(unpack(*group)) {
            *register = (*register).max(value);
        }
    }
}

/// Appends all registers.
pub(super) fn write(out: &mut Vec<u8>, registers: &Registers) {
    for four in registers.as_chunks::<4>().0 {
        out.extend_from_slice(&pack(*four));
    }
}
