//! Durations, counted in classes that are 3 % wide.
//!
//! Not known here: what took so long.

/// Bits of a duration below its highest one that tell its class.
const FINE_BITS: u32 = 5;

/// The counts.
#[derive(Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Nothing counted.
    pub fn new() -> Self {
        Histogram { counts: vec![0; 64 << FINE_BITS], total: 0 }
    }

    /// Counts a duration `times` times.
    pub fn add(&mut self, nanos: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(class(nanos)) {
            *count += times;
        }
        self.total += times;
    }

    /// The duration in microseconds that this share of all do not exceed.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return upper(class) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn class(nanos: u64) -> usize {
    let high = nanos.max(1).ilog2();
    if high < FINE_BITS {
        return nanos as usize;
    }
    let fine = (nanos >> (high - FINE_BITS)) as usize & ((1 << FINE_BITS) - 1);
    (((high - FINE_BITS + 1) as usize) << FINE_BITS) + fine
}

fn upper(class: usize) -> u64 {
    let block = (class >> FINE_BITS) as u32;
    let fine = class as u64 & ((1 << FINE_BITS) - 1);
    if block == 0 {
        return fine;
    }
    (((1 << FINE_BITS) + fine + 1) << (block - 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_four_percent_above_the_truth() {
        let mut histogram = Histogram::new();
        for nanos in 1..=100_000 {
            histogram.add(nanos, 1);
        }
        for (share, truth) in [(0.5, 50.0), (0.99, 99.0), (0.001, 0.1)] {
            let shown = histogram.quantile_us(share);
            assert!((truth..=truth * 1.04).contains(&shown), "{share}: {shown}");
        }
    }
}
