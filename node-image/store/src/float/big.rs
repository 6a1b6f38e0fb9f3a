//! Whole numbers of any size, as far as `float.rs` needs them.
//!
//! Limbs of 32 bits, the lowest first, none of them zero at the end.

#[derive(Clone, Debug, Default)]
pub(super) struct Big {
    limbs: Vec<u32>,
}

impl From<u64> for Big {
    fn from(number: u64) -> Self {
        let mut big = Self { limbs: vec![number as u32, (number >> 32) as u32] };
        big.trim();
        big
    }
}

impl Big {
    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// How many bits it has, from the highest that is set.
    pub(super) fn bits(&self) -> u32 {
        let high = self.limbs.last().map_or(0, |limb| 32 - limb.leading_zeros());
        (self.limbs.len().saturating_sub(1) as u32) * 32 + high
    }

    pub(super) fn multiply_add(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for limb in &mut self.limbs {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
    }

    /// Divides, downwards: the rest.
    pub(super) fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0_u64;
        for limb in self.limbs.iter_mut().rev() {
            let part = rest << 32 | u64::from(*limb);
            *limb = (part / u64::from(divisor)) as u32;
            rest = part % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    pub(super) fn shift_left(&mut self, by: u32) {
        self.multiply_add(1 << (by % 32), 0);
        self.limbs.splice(0..0, std::iter::repeat_n(0, by as usize / 32));
        self.trim();
    }

    /// The highest 128 bits, with the highest at place 127, and whether any bit below is set.
    pub(super) fn top_bits(&self) -> (u128, bool) {
        let mut top = 0_u128;
        let mut room: i32 = 128;
        let mut below = false;
        let skipped = self.limbs.last().map_or(0, |limb| limb.leading_zeros());
        for (place, limb) in self.limbs.iter().rev().enumerate() {
            let width = if place == 0 { 32 - skipped } else { 32 } as i32;
            room -= width;
            if room >= 0 {
                top |= u128::from(*limb) << room;
            } else if room > -32 {
                top |= u128::from(*limb) >> -room;
                below |= *limb << (32 + room) != 0;
            } else {
                below |= *limb != 0;
            }
        }
        (top, below)
    }

    pub(super) fn into_decimal(mut self) -> Vec<u8> {
        const GROUP: u32 = 1_000_000_000;
        let mut groups = Vec::new();
        while !self.is_zero() {
            groups.push(self.divide(GROUP));
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            text.push_str(&format!("{group:09}"));
        }
        text.into_bytes()
    }
}
