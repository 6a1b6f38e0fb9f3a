//! How recently, or how often, a key is used: one word in each entry.
//!
//!   recency     seconds of the clock at the last use, which repeat after 194 days
//!   frequency   minutes of the clock (16 bits above) and a logarithmic counter (8 bits below)
//!
//! The counter starts at 5 so that a fresh key is not the first to go, grows with a probability
//! that shrinks as it rises, and loses one for each `decay_min` minutes without use.
//!
//! Not known here: which key to evict.

use crate::random::Random;

/// What a fresh key's counter shows.
const COUNTER_START: u8 = 5;

/// A word has 24 bits.
const WORD_MASK: u32 = (1 << 24) - 1;

/// Seconds by which the clock may go back.
const SET_BACK_S_MAX: u32 = 24 * 3600;

/// Which of both is kept. Follows the policy of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// When a key was last used.
    Recency,
    /// How often it is used.
    Frequency {
        /// How slowly the counter saturates (`lfu-log-factor`).
        log_factor: u32,
        /// Minutes of rest that cost one (`lfu-decay-time`); 0 never forgets.
        decay_min: u32,
    },
}

impl Tracking {
    /// The word of a fresh entry.
    pub(crate) fn fresh(self, now_ms: i64) -> u32 {
        match self {
            Self::Recency => seconds(now_ms),
            Self::Frequency { .. } => pack(now_ms, COUNTER_START),
        }
    }

    /// The word after one more use.
    pub(crate) fn used(self, word: u32, now_ms: i64, random: &mut Random) -> u32 {
        match self {
            Self::Recency => seconds(now_ms),
            Self::Frequency { log_factor, .. } => {
                let counter = self.frequency(word, now_ms);
                let above = u64::from(counter.saturating_sub(COUNTER_START));
                let odds = above * u64::from(log_factor) + 1;
                let grows = counter < u8::MAX && random.below(odds) == 0;
                pack(now_ms, counter + u8::from(grows))
            }
        }
    }

    /// Seconds since the last use.
    pub(crate) fn idle_s(self, word: u32, now_ms: i64) -> u64 {
        match self {
            Self::Recency => {
                let idle_s = seconds(now_ms).wrapping_sub(word) & WORD_MASK;
                // A clock that was set back must not make every key look old.
                u64::from(if idle_s > WORD_MASK - SET_BACK_S_MAX { 0 } else { idle_s })
            }
            Self::Frequency { .. } => u64::from(minutes_since(word, now_ms)) * 60,
        }
    }

    /// The counter, less what time took.
    pub(crate) fn frequency(self, word: u32, now_ms: i64) -> u8 {
        let lost = match self {
            Self::Frequency { decay_min: decay @ 1.., .. } => {
                u32::from(minutes_since(word, now_ms)) / decay
            }
            _ => 0,
        };
        (word as u8).saturating_sub(lost.min(255) as u8)
    }

    /// The word for a given rest in seconds, as RESTORE's IDLETIME sets it.
    pub(crate) fn with_idle(now_ms: i64, idle_s: u64) -> u32 {
        let idle_s = idle_s.min(u64::from(WORD_MASK - SET_BACK_S_MAX)) as u32;
        seconds(now_ms).wrapping_sub(idle_s) & WORD_MASK
    }

    /// The word for a given counter, as RESTORE's FREQ sets it.
    pub(crate) fn with_frequency(now_ms: i64, counter: u8) -> u32 {
        pack(now_ms, counter)
    }
}

fn seconds(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32 & WORD_MASK
}

fn minutes(now_ms: i64) -> u16 {
    (now_ms / 60_000) as u16
}

fn minutes_since(word: u32, now_ms: i64) -> u16 {
    minutes(now_ms).wrapping_sub((word >> 8) as u16)
}

fn pack(now_ms: i64, counter: u8) -> u32 {
    u32::from(minutes(now_ms)) << 8 | u32::from(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LFU: Tracking = Tracking::Frequency { log_factor: 10, decay_min: 1 };

    #[test]
    fn recency_counts_the_seconds_since_the_last_use() {
        let word = Tracking::Recency.fresh(1_000_000);
        assert_eq!(Tracking::Recency.idle_s(word, 1_007_999), 7);
        let word = Tracking::Recency.used(word, 1_008_000, &mut Random::new(1));
        assert_eq!(Tracking::Recency.idle_s(word, 1_008_000), 0);
        assert_eq!(Tracking::Recency.idle_s(Tracking::with_idle(5_000_000, 60), 5_000_000), 60);
    }

    #[test]
    fn frequency_rises_ever_more_slowly_and_falls_with_rest() {
        let mut random = Random::new(7);
        let mut word = LFU.fresh(0);
        assert_eq!(LFU.frequency(word, 0), 5);
        for _ in 0..100 {
            word = LFU.used(word, 0, &mut random);
        }
        let after_100 = LFU.frequency(word, 0);
        for _ in 0..10_000 {
            word = LFU.used(word, 0, &mut random);
        }
        let after_10_100 = LFU.frequency(word, 0);
        assert!((7..25).contains(&after_100), "{after_100}");
        assert!((30..90).contains(&after_10_100), "{after_10_100}");
        assert_eq!(LFU.frequency(word, 10 * 60_000), after_10_100 - 10);
        assert_eq!(LFU.frequency(word, 1_000 * 60_000), 0);
    }
}
