//! Sets against a plain set, and where they change their form.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn limits(numbers: usize, members: usize) -> Limits {
    Limits {
        set_max_intset_entries: numbers,
        set_max_listpack_entries: members,
        ..Limits::new(HashSeed([3; 16]))
    }
}

fn set_of(members: &[&str], limits: &Limits) -> Set {
    let mut set = Set::new();
    for member in members {
        set.insert(member.as_bytes(), limits);
    }
    set
}

#[test]
fn the_first_member_that_is_no_number_ends_the_intset_and_nothing_brings_it_back() {
    let limits = limits(512, 128);
    let mut set = set_of(&["1", "2"], &limits);
    assert_eq!(set.encoding(), Encoding::Intset);
    set.insert(b"01", &limits);
    assert_eq!(set.encoding(), Encoding::Listpack);
    assert!(set.remove(b"01"));
    assert_eq!(set.encoding(), Encoding::Listpack);
    assert_eq!(set, set_of(&["2", "1"], &limits));
}

#[test]
fn too_many_or_too_long_members_make_a_table() {
    let few = limits(3, 2);
    assert_eq!(set_of(&["1", "2", "3"], &few).encoding(), Encoding::Intset);
    assert_eq!(set_of(&["1", "2", "3", "4"], &few).encoding(), Encoding::Hashtable);
    assert_eq!(set_of(&["a", "b"], &few).encoding(), Encoding::Listpack);
    assert_eq!(set_of(&["a", "b", "b"], &few).encoding(), Encoding::Listpack);
    assert_eq!(set_of(&["a", "b", "c"], &few).encoding(), Encoding::Hashtable);
    assert_eq!(set_of(&[&"a".repeat(65)], &limits(3, 9)).encoding(), Encoding::Hashtable);
    // As in Redis 7.0, which has no small sets but those of numbers.
    assert_eq!(set_of(&["a"], &limits(512, 0)).encoding(), Encoding::Hashtable);
}

#[test]
fn a_clone_of_a_table_keeps_its_members_while_the_original_is_written() {
    let limits = limits(0, 0);
    let mut set = Set::new();
    for n in 0..1000_u32 {
        set.insert(&n.to_be_bytes(), &limits);
    }
    let clone = set.clone();
    for n in 0..1000_u32 {
        set.remove(&n.to_be_bytes());
    }
    assert!(set.is_empty());
    assert!((0..1000_u32).all(|n| clone.contains(&n.to_be_bytes())));
}

#[test]
fn members_that_stay_are_all_scanned_while_others_come_and_go() {
    let limits = limits(0, 0);
    let mut set = Set::new();
    let stays: BTreeSet<Vec<u8>> = (0..300).map(|n| format!("stays {n}").into_bytes()).collect();
    stays.iter().for_each(|member| assert!(set.insert(member, &limits)));
    let mut seen = BTreeSet::new();
    let (mut cursor, mut round) = (0, 0);
    loop {
        cursor = set.scan(cursor, |member| {
            seen.insert(member.to_vec());
        });
        if cursor == 0 {
            break;
        }
        // Grows, shrinks and grows again below the scan.
        round += 1;
        for n in 0..50 {
            let member = format!("goes {}", (round % 7) * 50 + n).into_bytes();
            if round % 3 == 0 {
                set.remove(&member)
            } else {
                set.insert(&member, &limits)
            };
        }
    }
    assert!(stays.is_subset(&seen));
}

proptest! {
    #[test]
    fn behaves_like_a_plain_set(
        changes in prop::collection::vec((any::<bool>(), 0_u8..60), 0..200),
        numbers in prop_oneof![Just(0_usize), Just(10), Just(100)],
        members in prop_oneof![Just(0_usize), Just(10), Just(100)],
    ) {
        let limits = limits(numbers, members);
        let mut set = Set::new();
        let mut model = BTreeSet::new();
        for (insert, n) in changes {
            let member = if n < 45 { n.to_string() } else { format!("m{n}") }.into_bytes();
            if insert {
                prop_assert_eq!(set.insert(&member, &limits), model.insert(member.clone()));
            } else {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            }
            prop_assert_eq!(set.contains(&member), insert);
            prop_assert_eq!(set.len(), model.len());
        }
        let mut scanned = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, |member| {
                scanned.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(&scanned, &model);
        let listed: BTreeSet<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
        prop_assert_eq!(&listed, &model);
        let drawn = set.random(|| 7).map(|member| member.to_vec());
        prop_assert_eq!(drawn.is_some(), !model.is_empty());
        prop_assert!(drawn.is_none_or(|member| model.contains(&member)));
        let mut left = set.len();
        loop {
            let freed = set.crumble();
            left -= freed;
            if freed == 0 {
                break;
            }
        }
        prop_assert_eq!(left, 0);
    }
}
