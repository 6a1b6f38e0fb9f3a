//! Streams against a plain model, and nodes against bytes of Redis.

use proptest::prelude::*;

use super::*;
use crate::limits::HashSeed;

fn limits(bytes: usize, entries: usize) -> Limits {
    let limits = Limits::new(HashSeed([7; 16]));
    Limits { stream_node_max_bytes: bytes, stream_node_max_entries: entries, ..limits }
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn stream(ids: impl IntoIterator<Item = u64>, limits: &Limits) -> Log {
    let mut log = Log::default();
    for ms in ids {
        assert!(log.append(id(ms), &[b"field", ms.to_string().as_bytes()], limits));
    }
    log
}

fn ids(log: &Log) -> Vec<u64> {
    log.iter(StreamId::MIN, StreamId::MAX).map(|entry| entry.id.ms).collect()
}

/// What the counters say must be what is there.
fn assert_sound(log: &Log) {
    let all: Vec<StreamId> = log.iter(StreamId::MIN, StreamId::MAX).map(|e| e.id).collect();
    assert_eq!(all.len() as u64, log.len());
    assert_eq!(all.first().copied().unwrap_or_default(), log.first_id());
    assert_eq!(all.last().copied().unwrap_or_default(), log.last_entry_id());
    assert!(all.is_sorted_by(|a, b| a < b));
    assert!(log.nodes.values().all(|node| node.live > 0));
    let bytes: usize = log.nodes.values().map(|node| node.bytes() + LINK_BYTES).sum();
    assert_eq!(bytes, log.bytes);
}

fn again(log: &Log) -> Log {
    let mut copy = Log::default();
    for (base, node) in log.nodes() {
        copy.push_listpack(base, &node.listpack()).unwrap();
    }
    copy.last_id = log.last_id;
    copy.max_deleted_id = log.max_deleted_id;
    copy.entries_added = log.entries_added;
    copy
}

#[test]
fn a_node_has_the_bytes_of_redis() {
    // The node in DUMP of `XADD s 1-1 a 1 b 2`, `XADD s 2-0 a x b -300`, `XADD s 3-5 c y`,
    // `XDEL s 2-0`, taken from Redis 7.0.
    let limits = limits(4096, 100);
    let mut log = Log::default();
    log.append(StreamId::new(1, 1), &[b"a", b"1", b"b", b"2"], &limits);
    log.append(StreamId::new(2, 0), &[b"a", b"x", b"b", b"-300"], &limits);
    log.append(StreamId::new(3, 5), &[b"c", b"y"], &limits);
    assert!(log.delete(StreamId::new(2, 0)));
    let expected = b"\
        @\0\0\0\x19\0\x02\x01\x01\x01\x02\x01\x81a\x02\x81b\x02\0\x01\x02\x01\0\x01\0\
        \x01\x01\x01\x02\x01\x05\x01\x03\x01\x01\x01\xdf\xff\x02\x81x\x02\xde\xd4\x02\
        \x05\x01\0\x01\x02\x01\x04\x01\x01\x01\x81c\x02\x81y\x02\x06\x01\xff";
    let (base, node) = log.nodes().next().unwrap();
    assert_eq!(base, StreamId::new(1, 1));
    assert_eq!(node.listpack().escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn a_node_is_full_by_entries_deleted_ones_included_or_by_bytes() {
    let mut log = stream(1..=10, &limits(4096, 10));
    assert_eq!(log.nodes().len(), 1);
    log.delete(id(3));
    log.append(id(11), &[b"f", b"v"], &limits(4096, 10));
    assert_eq!(log.nodes().len(), 2);
    let log = stream(1..=100, &limits(200, 0));
    assert!(log.nodes().all(|(_, node)| node.listpack().len() < 230));
    assert_eq!(stream(1..=1000, &limits(0, 0)).nodes().len(), 1);
}

#[test]
fn approximate_trimming_drops_whole_nodes_up_to_its_limit() {
    let limits = limits(4096, 10);
    let mut log = stream(1..=95, &limits);
    assert_eq!(log.trim(Trim::MaxLen(42), true, None), 50);
    assert_eq!(log.trim(Trim::MaxLen(42), true, None), 0);
    assert_eq!(log.trim(Trim::MinId(id(75)), true, Some(15)), 10);
    assert_eq!(log.first_id(), id(61));
    assert_eq!(log.trim(Trim::MaxLen(0), true, None), 35);
    assert_eq!((log.first_id(), log.last_id), (StreamId::MIN, id(95)));
    assert_sound(&log);
}

#[test]
fn exact_trimming_keeps_what_it_says() {
    let limits = limits(4096, 10);
    let mut log = stream(1..=95, &limits);
    assert_eq!(log.trim(Trim::MaxLen(42), false, None), 53);
    assert_eq!(ids(&log), (54..=95).collect::<Vec<_>>());
    assert_eq!(log.trim(Trim::MinId(id(90)), false, None), 36);
    assert_eq!(ids(&log), (90..=95).collect::<Vec<_>>());
    assert_sound(&log);
}

#[test]
fn a_clone_does_not_see_what_comes_later() {
    let limits = limits(4096, 10);
    let mut log = stream(1..=95, &limits);
    let before = log.clone();
    log.append(id(96), &[b"f", b"v"], &limits);
    (1..=95).step_by(2).for_each(|ms| assert!(log.delete(id(ms))));
    assert_eq!(ids(&before), (1..=95).collect::<Vec<_>>());
    assert_eq!(log.len(), 48);
    assert_sound(&log);
}

#[test]
fn the_counter_of_an_id_is_told_where_no_hole_can_be() {
    let limits = limits(4096, 10);
    let mut log = stream(1..=10, &limits);
    assert_eq!(log.added_up_to(id(10)), Some(10));
    assert_eq!(log.added_up_to(id(11)), None);
    assert_eq!(log.added_up_to(id(5)), None);
    log.trim(Trim::MaxLen(4), false, None);
    assert_eq!(log.added_up_to(id(2)), Some(6));
    assert_eq!(log.added_up_to(id(7)), Some(7));
    log.delete(id(9));
    assert_eq!(log.added_up_to(id(2)), None);
    assert!(log.has_tombstone_from(id(9)) && !log.has_tombstone_from(id(10)));
}

#[test]
fn a_damaged_node_is_an_error() {
    let log = stream([5, 6, 9], &limits(4096, 100));
    let (base, node) = log.nodes().next().unwrap();
    let whole = node.listpack();
    let read = |base, bytes: &[u8]| Log::default().push_listpack(base, bytes);
    assert_eq!(read(base, &whole), Ok(()));
    for at in 0..whole.len() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            let mut log = Log::default();
            if log.push_listpack(base, &bytes).is_ok() {
                assert_sound(&log);
            }
        }
        assert!(read(base, &whole[..at]).is_err());
    }
    let mut twice = Log::default();
    twice.push_listpack(base, &whole).unwrap();
    assert!(twice.push_listpack(id(7), &whole).is_err());
}

#[test]
fn a_radix_tree_over_the_nodes_is_counted() {
    let limits = limits(4096, 1);
    assert_eq!(Log::default().radix_nodes(), 1);
    assert_eq!(stream([1], &limits).radix_nodes(), 2);
    // A chain to the branch, the branch, and a chain and a leaf for each of both.
    assert_eq!(stream([1, 2], &limits).radix_nodes(), 6);
    assert_eq!(stream([1, 2, 3], &limits).radix_nodes(), 8);
    // 1 and 2 part in the eighth byte, 256 leaves both in the seventh.
    assert_eq!(stream([1, 2, 256], &limits).radix_nodes(), 9);
    assert_eq!(stream([1, 256, 257], &limits).radix_nodes(), 9);
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8, Vec<u8>),
    Delete(u16),
    TrimLen(u16),
    TrimId(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..70))
            .prop_map(|(kind, value)| Step::Append(kind, value)),
        2 => (0u16..400).prop_map(Step::Delete),
        1 => (0u16..200).prop_map(Step::TrimLen),
        1 => (0u16..300).prop_map(Step::TrimId),
    ]
}

proptest! {
    #[test]
    fn it_is_the_log_that_a_plain_map_is(
        steps in proptest::collection::vec(step(), 1..250),
        node_entries in 1usize..20,
        range in (0u64..300, 0u64..300),
    ) {
        let limits = limits(600, node_entries);
        let mut log = Log::default();
        let mut model: BTreeMap<StreamId, Vec<Vec<u8>>> = BTreeMap::new();
        let mut ms = 1;
        for step in steps {
            match step {
                Step::Append(kind, value) => {
                    ms += u64::from(kind % 3);
                    let id = StreamId::new(ms, log.last_id.seq + u64::from(kind % 2) + 1);
                    let field = [b'f', kind % 2];
                    let mut fields: Vec<&[u8]> = vec![&field, &value];
                    if kind % 5 == 0 {
                        fields.extend([&b"12345"[..], b"-7"]);
                    }
                    prop_assert!(log.append(id, &fields, &limits));
                    model.insert(id, fields.iter().map(|part| part.to_vec()).collect());
                }
                Step::Delete(place) => {
                    let place = usize::from(place) % (model.len() + 1);
                    let id = model.keys().nth(place).copied().unwrap_or(StreamId::new(9999, 1));
                    prop_assert_eq!(log.delete(id), model.remove(&id).is_some());
                }
                Step::TrimLen(len) => {
                    let before = model.len();
                    while model.len() > usize::from(len) {
                        model.pop_first();
                    }
                    let gone = log.trim(Trim::MaxLen(u64::from(len)), false, None);
                    prop_assert_eq!(gone as usize, before - model.len());
                }
                Step::TrimId(ms) => {
                    let id = StreamId::new(u64::from(ms), 0);
                    let rest = model.split_off(&id);
                    let gone = log.trim(Trim::MinId(id), false, None);
                    prop_assert_eq!(gone as usize, model.len());
                    model = rest;
                }
            }
        }
        assert_sound(&log);
        let (start, end) = (StreamId::new(range.0, 0), StreamId::new(range.1, u64::MAX));
        let plain = |entry: Entry<'_>| {
            let parts = entry.fields().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]).collect();
            (entry.id, parts)
        };
        let wanted: Vec<(StreamId, Vec<Vec<u8>>)> = model
            .iter()
            .filter(|(id, _)| (start..=end).contains(id))
            .map(|(id, parts)| (*id, parts.clone()))
            .collect();
        let forth: Vec<_> = log.iter(start, end).map(plain).collect();
        let mut back: Vec<_> = log.iter_back(start, end).map(plain).collect();
        back.reverse();
        prop_assert_eq!(&forth, &wanted);
        prop_assert_eq!(&back, &wanted);
        prop_assert_eq!(again(&log), log);
    }
}
