//! From registers to a cardinality: Ertl's improved estimator.
//!
//! It needs only how many registers have each value, has no tables and no thresholds, and is the
//! one that Redis uses, so that both give the same number. See Otmar Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches", arXiv:1702.01284.
//!
//! Not known here: where registers lie.

use super::{REGISTERS, RUN_BITS};

/// 1 / (2 ln 2), the limit that the correction factor tends to.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many registers have each value. Six bits can say more than a hash can offer, so there is a
/// place for each of them; those beyond the largest offer count for nothing.
pub(super) struct Histogram {
    counts: [usize; 64],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; 64] }
    }
}

impl Histogram {
    /// So many more registers have this value.
    pub(super) fn add(&mut self, value: u8, registers: usize) {
        if let Some(count) = self.counts.get_mut(usize::from(value)) {
            *count += registers;
        }
    }

    fn count(&self, value: u32) -> f64 {
        self.counts.get(value as usize).copied().unwrap_or(0) as f64
    }

    /// The number of different elements.
    pub(super) fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let mut z = m * tau((m - self.count(RUN_BITS + 1)) / m);
        for value in (1..=RUN_BITS).rev() {
            z = (z + self.count(value)) * 0.5;
        }
        z += m * sigma(self.count(0) / m);
        (ALPHA * m * m / z).round() as u64
    }
}

/// x + x^2 + 2 x^4 + 4 x^8 ..., infinite at 1.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// The counterpart of [`sigma`] for registers that are full.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
