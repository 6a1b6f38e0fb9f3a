//! Elements chosen by chance.
//!
//! Not known here: what the elements are, and how one is drawn.

use std::collections::BTreeSet;

use holdfast_store::random::Random;

use super::CommandError;
use super::parse::integer;

/// With at least so many times more elements than wished, distinct ones are drawn until there are
/// enough; otherwise the unwished are thrown out of all.
const SPARSE: usize = 3;

/// More repetitions than this are refused: they would only fill the reply's buffer.
const REPEATS_MAX: i64 = 1 << 26;

/// The count of SRANDMEMBER and its sisters: how many, and whether an element may come twice.
pub(super) fn wished(arg: &[u8]) -> Result<(usize, bool), CommandError> {
    match integer(arg)? {
        i64::MIN => Err(CommandError::new(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        )),
        count if count < -REPEATS_MAX => Err(CommandError::new("ERR value is out of range")),
        count => Ok((count.unsigned_abs() as usize, count < 0)),
    }
}

/// At most `wanted` different ones of `len` elements, each set of them with the same chance.
pub(super) fn distinct<T: Ord + Clone>(
    len: usize,
    wanted: usize,
    random: &mut Random,
    all: impl Iterator<Item = T>,
    mut draw: impl FnMut(&mut Random) -> Option<T>,
) -> Vec<T> {
    if wanted >= len {
        return all.collect();
    }
    if wanted * SPARSE > len {
        let mut all: Vec<T> = all.collect();
        for at in 0..wanted {
            let other = at + random.below((all.len() - at) as u64) as usize;
            all.swap(at, other);
        }
        all.truncate(wanted);
        return all;
    }
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::with_capacity(wanted);
    while chosen.len() < wanted {
        let Some(element) = draw(random) else { break };
        if seen.insert(element.clone()) {
            chosen.push(element);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_elements_are_chosen_however_many_there_are() {
        let mut random = Random::new(3);
        for (len, wanted) in [(0, 5), (5, 5), (5, 9), (100, 5), (100, 60), (1, 0)] {
            let draw = |random: &mut Random| Some(random.below(len as u64) as usize);
            let chosen = distinct(len, wanted, &mut random, 0..len, draw);
            let different: BTreeSet<usize> = chosen.iter().copied().collect();
            assert_eq!((chosen.len(), different.len()), (wanted.min(len), wanted.min(len)));
        }
    }

    #[test]
    fn a_negative_count_allows_repetitions_within_reason() {
        assert_eq!(wished(b"5"), Ok((5, false)));
        assert_eq!(wished(b"-5"), Ok((5, true)));
        assert!(wished(b"-9223372036854775808").is_err());
        assert!(wished(b"-9223372036854775807").is_err());
        assert_eq!(wished(b"9223372036854775807"), Ok((i64::MAX as usize, false)));
    }
}
