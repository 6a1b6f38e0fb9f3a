//! Hashes against a plain map, and where they change their form.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn limits(entries: usize) -> Limits {
    Limits { hash_max_listpack_entries: entries, ..Limits::new(HashSeed([3; 16])) }
}

#[test]
fn becomes_a_table_past_the_number_of_fields_and_stays_one() {
    let limits = limits(3);
    let mut hash = Hash::new();
    for n in 0..3 {
        hash.set(&[b'0' + n], b"v", &limits);
    }
    assert_eq!(hash.encoding(), Encoding::Listpack);
    hash.set(b"3", b"v", &limits);
    assert_eq!(hash.encoding(), Encoding::Hashtable);
    for n in 0..4 {
        assert!(hash.remove(&[b'0' + n]));
    }
    assert_eq!(hash.encoding(), Encoding::Hashtable);
}

#[test]
fn becomes_a_table_with_a_long_field_or_value() {
    let limits = limits(100);
    for (name, value) in [(65, 1), (1, 65)] {
        let mut hash = Hash::new();
        hash.set(&vec![b'n'; name], &vec![b'v'; value], &limits);
        assert_eq!(hash.encoding(), Encoding::Hashtable);
    }
    let mut hash = Hash::new();
    hash.set(&[b'n'; 64], &[b'v'; 64], &limits);
    assert_eq!(hash.encoding(), Encoding::Listpack);
}

#[test]
fn a_clone_of_a_table_keeps_its_fields_while_the_original_is_written() {
    let limits = limits(0);
    let mut hash = Hash::new();
    for n in 0..1000_u32 {
        hash.set(&n.to_be_bytes(), b"old", &limits);
    }
    let clone = hash.clone();
    for n in 0..1000_u32 {
        hash.set(&n.to_be_bytes(), b"new", &limits);
    }
    assert!(clone.iter().all(|(_, value)| value == b"old"));
    assert!(hash.iter().all(|(_, value)| value == b"new"));
    assert_ne!(clone, hash);
}

proptest! {
    #[test]
    fn behaves_like_a_plain_map(
        changes in prop::collection::vec((any::<bool>(), 0_u8..40, 0_u8..3), 0..200),
        entries in prop_oneof![Just(0_usize), Just(10), Just(100)],
    ) {
        let limits = limits(entries);
        let mut hash = Hash::new();
        let mut model = BTreeMap::new();
        for (set, name, value) in changes {
            if set {
                let new = model.insert(vec![name], vec![value; 2]).is_none();
                prop_assert_eq!(hash.set(&[name], &[value; 2], &limits), new);
            } else {
                prop_assert_eq!(hash.remove(&[name]), model.remove(&vec![name]).is_some());
            }
            let text: usize = model.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert_eq!(hash.text_bytes, text);
        }
        prop_assert_eq!(hash.len(), model.len());
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = hash.scan(cursor, |name, value| {
                scanned.insert(name.to_vec(), value.to_vec());
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(scanned, model);
    }
}
