//! Sorted sets against a plain map, and where they change their form.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn limits(entries: usize) -> Limits {
    Limits { zset_max_listpack_entries: entries, ..Limits::new(HashSeed([3; 16])) }
}

fn check(set: &SortedSet) {
    if let Form::Large(large) = &set.form {
        large.tree.check();
        assert_eq!(large.members.len(), large.tree.len());
        let bytes: usize = large.members.iter().map(|member| member.name.len()).sum();
        assert_eq!(large.text_bytes, bytes);
    }
}

/// Name and score of every member, in order.
fn listed(set: &SortedSet) -> Vec<(Vec<u8>, f64)> {
    set.iter().map(|(name, score)| (name.to_vec(), score)).collect()
}

fn name(n: u32) -> Vec<u8> {
    format!("member {n:05}").into_bytes()
}

#[test]
fn becomes_large_with_too_many_or_too_long_members_and_stays_so() {
    let limits = limits(2);
    let mut set = SortedSet::new();
    set.set(b"a", 1.0, &limits);
    set.set(b"b", 2.0, &limits);
    assert_eq!(set.encoding(), Encoding::Listpack);
    set.set(b"c", 0.5, &limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
    set.remove(b"c");
    assert_eq!(set.encoding(), Encoding::Skiplist);
    let mut set = SortedSet::new();
    set.set(&[b'x'; 65], 1.0, &limits);
    assert_eq!(set.encoding(), Encoding::Skiplist);
}

#[test]
fn a_block_holds_scores_as_redis_writes_them() {
    // From DUMP of Redis 7.0: ZADD z 1 a 2.5 b -inf c.
    let mut set = SortedSet::new();
    for (score, member) in [(1.0, b"a"), (2.5, b"b"), (f64::NEG_INFINITY, b"c")] {
        set.set(member, score, &limits(9));
    }
    let expected =
        b"\x1d\0\0\0\x06\0\x81c\x02\x84-inf\x05\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff";
    assert_eq!(set.as_listpack(), Some(&expected[..]));
}

#[test]
fn scores_of_every_size_come_back_from_a_block() {
    let scores = [0.0, 1.1, -7.25, 1e17, 1e300, -1e-300, 9_007_199_254_740_993.0, 4.7e18];
    for score in scores.into_iter().chain([f64::INFINITY, f64::MAX, f64::MIN_POSITIVE]) {
        let mut set = SortedSet::new();
        set.set(b"m", score, &limits(9));
        assert_eq!(set.score(b"m"), Some(score));
    }
}

#[test]
fn ten_thousand_members_keep_their_places_as_they_come_and_go() {
    let limits = limits(0);
    let mut set = SortedSet::new();
    for n in 0..10_000 {
        // In an order that hits every leaf.
        let n = n * 7_919 % 10_000;
        assert_eq!(set.set(&name(n), f64::from(n), &limits), None);
    }
    check(&set);
    for n in [0, 1, 63, 64, 5_000, 9_999] {
        assert_eq!(set.rank(&name(n)), Some((n as usize, f64::from(n))));
        let at: Vec<Vec<u8>> = set.range(n as usize, 1).map(|(name, _)| name.to_vec()).collect();
        assert_eq!(at, [name(n)]);
    }
    assert_eq!(set.position(|score, _| score < 1234.5), 1235);
    set.remove_range(100, 9_800);
    check(&set);
    let left: Vec<u32> = listed(&set).iter().map(|(_, score)| *score as u32).collect();
    assert_eq!(left, (0..100).chain(9_900..10_000).collect::<Vec<u32>>());
    let backwards: Vec<u32> = set.iter().rev().map(|(_, score)| score as u32).collect();
    assert_eq!(backwards, left.into_iter().rev().collect::<Vec<u32>>());
    set.remove_range(0, 1_000);
    check(&set);
    assert!(set.is_empty());
}

#[test]
fn members_that_come_in_order_fill_their_leaves() {
    let limits = limits(0);
    let mut tree = Tree::default();
    for n in 0..6_400_u32 {
        tree.insert(Entry { score: f64::from(n), name: name(n).into() });
    }
    tree.check();
    assert_eq!(limits.zset_max_listpack_entries, 0);
    // Hundred full leaves: a walk of one leaf's length stays in one leaf.
    let mut walk = tree.range(0, 64);
    assert!(walk.by_ref().all(|entry| entry.score < 64.0));
}

#[test]
fn a_clone_keeps_what_it_had_while_the_original_is_written() {
    let limits = limits(0);
    let mut set = SortedSet::new();
    (0..3_000).for_each(|n| assert_eq!(set.set(&name(n), f64::from(n), &limits), None));
    let clone = set.clone();
    let before = listed(&clone);
    for n in 0..3_000 {
        if n % 3 == 0 {
            set.remove(&name(n))
        } else {
            set.set(&name(n), -f64::from(n), &limits)
        };
    }
    check(&set);
    check(&clone);
    assert_eq!(listed(&clone), before);
    assert_ne!(set, clone);
}

#[test]
fn members_that_stay_are_all_scanned_though_their_scores_change() {
    let limits = limits(0);
    let mut set = SortedSet::new();
    (0..300).for_each(|n| assert_eq!(set.set(&name(n), 0.0, &limits), None));
    let mut seen = BTreeSet::new();
    let (mut cursor, mut round) = (0, 0);
    loop {
        cursor = set.scan(cursor, |name, _| {
            seen.insert(name.to_vec());
        });
        if cursor == 0 {
            break;
        }
        round += 1;
        for n in 0..300 {
            set.set(&name(n), f64::from(n * round % 17), &limits);
        }
        for n in 0..50 {
            let goes = name(1_000 + (round % 7) * 50 + n);
            if round % 3 == 0 {
                set.remove(&goes)
            } else {
                set.set(&goes, 1.0, &limits)
            };
        }
    }
    assert!((0..300).all(|n| seen.contains(&name(n))));
}

proptest! {
    #[test]
    fn behaves_like_a_plain_map(
        changes in prop::collection::vec((0..4_u8, 0..300_u32, -3..3_i8), 0..600),
        entries in prop_oneof![Just(0_usize), Just(10), Just(1000)],
    ) {
        let limits = limits(entries);
        let mut set = SortedSet::new();
        let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
        for (change, n, score) in changes {
            let (member, score) = (name(n), f64::from(score) / 2.0);
            if change == 0 {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            } else {
                prop_assert_eq!(set.set(&member, score, &limits), model.insert(member, score));
            }
        }
        check(&set);
        let mut sorted: Vec<(Vec<u8>, f64)> = model.into_iter().collect();
        sorted.sort_by(|l, r| order((l.1, &l.0), (r.1, &r.0)));
        prop_assert_eq!(&listed(&set), &sorted);
        for (place, (member, score)) in sorted.iter().enumerate() {
            prop_assert_eq!(set.rank(member), Some((place, *score)));
        }
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, |name, score| {
                scanned.insert(name.to_vec(), score);
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(scanned, sorted.iter().cloned().collect::<BTreeMap<_, _>>());
        let (start, count) = (sorted.len() / 3, sorted.len() / 2);
        let part: Vec<Vec<u8>> =
            set.range(start, count).rev().map(|(name, _)| name.to_vec()).collect();
        let expected: Vec<Vec<u8>> =
            sorted.iter().skip(start).take(count).rev().map(|(name, _)| name.clone()).collect();
        prop_assert_eq!(part, expected);
        set.remove_range(start, count);
        check(&set);
        sorted.drain(start..(start + count).min(sorted.len()));
        prop_assert_eq!(&listed(&set), &sorted);
        while set.crumble() > 0 {}
    }
}
