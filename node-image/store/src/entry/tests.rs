//! Entries: every form comes back as it was written, and everything is freed once.

use proptest::prelude::*;

use super::*;
use crate::list::{End, List};

const SEED: crate::limits::HashSeed = crate::limits::HashSeed([3; 16]);

fn raw(bytes: &[u8]) -> Value {
    StringValue::Raw(bytes.to_vec()).into()
}

#[test]
fn a_pair_of_sixteen_bytes_takes_forty_eight_bytes_with_a_deadline_and_without() {
    let never = Entry::new(&[b'k'; 16], Fresh::text(&[b'v'; 16]), NEVER, 1);
    let some_day = Entry::new(&[b'k'; 16], Fresh::text(&[b'v'; 16]), 7, 1);
    assert_eq!((never.bytes(), some_day.bytes()), (48, 48));
    assert_eq!(Entry::new(&[b'k'; 16], Fresh::text(&[b'v'; 128]), 7, 1).bytes(), 160);
}

#[test]
fn the_encoding_of_a_string_survives_whatever_its_length() {
    for (text, encoding) in [
        (vec![b'7'], "int"),
        (vec![b'x'; 44], "embstr"),
        (vec![b'x'; 45], "raw"),
        (vec![b'x'; 128], "raw"),
        (vec![b'x'; 129], "raw"),
    ] {
        let entry = Entry::new(b"k", Fresh::text(&text), NEVER, 0);
        assert_eq!(entry.value().encoding().name(), encoding);
        assert_eq!(*entry.value(), StringValue::verbatim(&text).into());
    }
    let entry = Entry::new(b"k", Fresh::of(&mut raw(b"7")), NEVER, 0);
    assert_eq!(entry.value().encoding().name(), "raw");
}

#[test]
fn a_use_and_a_cut_number_do_not_disturb_each_other() {
    let entry = Entry::new(b"key", Fresh::text(b"value"), 5, u32::MAX);
    entry.set_access(0x00FF_FFFF);
    entry.set_cut((1 << CUT_BITS) - 1);
    entry.set_access(0x0012_3456);
    assert_eq!((entry.access(), entry.cut()), (0x0012_3456, (1 << CUT_BITS) - 1));
    assert_eq!((entry.key(), entry.deadline_ms(), entry.tag()), (&b"key"[..], 5, 0xFFFF));
}

#[derive(Clone, Debug)]
enum Held {
    Text(Vec<u8>),
    Raw(Vec<u8>),
    List(u8),
}

impl Held {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => StringValue::new(text).into(),
            Self::Raw(text) => raw(text),
            Self::List(len) => {
                let mut list = List::new();
                (0..*len).for_each(|n| {
                    list.push(End::Left, &[n], &crate::limits::Limits::new(SEED));
                });
                list.into()
            }
        }
    }
}

fn held() -> impl Strategy<Value = Held> {
    prop_oneof![
        any::<i64>().prop_map(|number| Held::Text(number.to_string().into_bytes())),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Held::Text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Held::Raw),
        (0_u8..20).prop_map(Held::List),
    ]
}

proptest! {
    #[test]
    fn an_entry_gives_back_what_was_written_last(
        key in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(any::<u8>(), 65_530..65_540),
        ],
        first in held(),
        changes in prop::collection::vec((held(), prop::option::of(any::<i64>()), 0_u8..4), 0..12),
    ) {
        let hash = SEED.hash(&key);
        let mut entry = Entry::new(&key, Fresh::of(&mut first.value()), NEVER, hash);
        let (mut value, mut deadline_ms) = (first.value(), NEVER);
        entry.set_cut(77);
        for (held, expiry_ms, kind) in changes {
            match kind {
                0 => {
                    value = held.value();
                    entry.replace(Fresh::of(&mut held.value()));
                }
                1 => {
                    deadline_ms = expiry_ms.unwrap_or(NEVER);
                    entry.set_deadline_ms(deadline_ms);
                }
                2 => entry = entry.clone(),
                _ => {
                    if let Ok(stored) = entry.value_mut() {
                        *stored = held.value();
                        value = held.value();
                    }
                }
            }
            prop_assert_eq!(entry.key(), &key);
            prop_assert_eq!(&*entry.value(), &value);
            prop_assert_eq!(entry.value().encoding(), value.encoding());
            prop_assert_eq!(entry.deadline_ms(), deadline_ms);
            prop_assert_eq!((entry.cut(), entry.tag()), (77, Entry::tag_of(hash)));
        }
        prop_assert_eq!(entry.into_value(), value);
    }
}
