//! Promises of the snapshot format. Byte strings marked so were made by Redis 7.0.15.

use super::*;
use crate::{HashSeed, Limits, Value};
use proptest::prelude::*;

fn strings(elements: &[&str]) -> Vec<Vec<u8>> {
    elements.iter().map(|element| element.as_bytes().to_vec()).collect()
}

fn fields(pairs: &[(&str, &str)]) -> Content {
    let owned = |(f, v): &(&str, &str)| (f.as_bytes().to_vec(), v.as_bytes().to_vec());
    Content::Hash(pairs.iter().map(owned).collect())
}

fn scored(members: &[(&str, f64)]) -> Content {
    let owned = |(member, score): &(&str, f64)| (member.as_bytes().to_vec(), *score);
    Content::SortedSet(members.iter().map(owned).collect())
}

fn limits() -> Limits {
    Limits::new(HashSeed([7; 16]))
}

fn value_of(content: &Content) -> Value {
    content.clone().into_value(&limits())
}

fn write(writer: &mut Writer, key: &[u8], expires_at_ms: Option<u64>, content: &Content) {
    match content {
        Content::String(value) => writer.string(key, expires_at_ms, value),
        Content::List(elements) => writer.list(key, expires_at_ms, elements),
        Content::Hash(pairs) => writer.hash(key, expires_at_ms, pairs),
        Content::Set(_) | Content::SortedSet(_) => {
            writer.value(key, expires_at_ms, &value_of(content));
        }
        Content::Stream(stream) => writer.stream(key, expires_at_ms, stream),
    }
}

fn payload(content: &Content) -> Vec<u8> {
    let mut writer = Writer::bare(WriterOptions::default());
    match content {
        Content::String(value) => writer.push_string_value(value),
        Content::List(elements) => writer.push_list_value(elements),
        Content::Hash(pairs) => writer.push_hash_value(pairs),
        Content::Set(_) | Content::SortedSet(_) => {
            return dump_payload(&value_of(content), &limits());
        }
        Content::Stream(stream) => writer.push_stream_value(stream),
    }
    seal_payload(writer.take())
}

fn read_all(bytes: &[u8], piece: usize) -> Result<Vec<Item>, RdbError> {
    let mut reader = Reader::default();
    let mut items = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
    }
    reader.finish()?;
    Ok(items)
}

/// DUMP payloads of Redis 7.0.15, with what they hold.
fn stock_payloads() -> Vec<(&'static [u8], Content)> {
    vec![
        (
            b"\x10\x19\x19\x00\x00\x00\x06\x00\x81\x61\x02\x01\x01\x81\x62\x02\xdf\xfb\x02\x81\
              \x63\x02\xf1\x00\x10\x03\xff\x0a\x00\xc4\x00\xf9\x89\x89\x63\x21\x1c",
            fields(&[("a", "1"), ("b", "-5"), ("c", "4096")]),
        ),
        (
            b"\x12\x01\x02\x1c\x1c\x00\x00\x00\x07\x00\x81\x61\x02\x81\x62\x02\x81\x63\x02\x01\
              \x01\x02\x01\xc1\x2c\x02\xf2\x70\x11\x01\x04\xff\x0a\x00\xb1\x3f\x85\xdb\x13\xb5\
              \x4a\x8d",
            Content::List(strings(&["a", "b", "c", "1", "2", "300", "70000"])),
        ),
        (
            b"\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
            Content::String(b"hello".to_vec()),
        ),
        (
            b"\x00\xc1\x39\x30\x0a\x00\x9d\x94\xea\x27\x93\xfc\x08\xb9",
            Content::String(b"12345".to_vec()),
        ),
        (
            b"\x0b\x14\x04\x00\x00\x00\x03\x00\x00\x00\x90\xee\xfe\xff\x01\x00\x00\x00\x03\x00\
              \x00\x00\x0a\x00\x09\x0e\xec\x49\xa6\x50\x4d\x88",
            Content::Set(strings(&["-70000", "1", "3"])),
        ),
        (
            b"\x11\x1d\x1d\x00\x00\x00\x06\x00\x81\x63\x02\x84\x2d\x69\x6e\x66\x05\x81\x61\x02\
              \x01\x01\x81\x62\x02\x83\x32\x2e\x35\x04\xff\x0a\x00\x39\x92\x33\x9b\xe1\x1f\x32\
              \x3d",
            scored(&[("c", f64::NEG_INFINITY), ("a", 1.0), ("b", 2.5)]),
        ),
    ]
}

#[test]
fn payloads_are_byte_for_byte_those_of_redis() {
    for (bytes, content) in stock_payloads() {
        assert_eq!(payload_content(bytes).as_ref(), Ok(&content));
        assert_eq!(payload(&content).escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }
}

#[test]
fn a_compressed_payload_of_redis_is_read() {
    let bytes = b"\x00\xc3\x09\x40\x43\x01\x78\x78\xe0\x36\x00\x01\x78\x78\x0a\x00\x60\xe5\x79\x17\
                  \xfe\xaf\x47\xb0";
    assert_eq!(payload_content(bytes), Ok(Content::String(vec![b'x'; 67])));
}

#[test]
fn a_payload_of_what_we_cannot_hold_is_refused_by_its_name() {
    let module = seal_payload(b"\x07\x01".to_vec());
    let problem = payload_content(&module).unwrap_err().problem;
    assert_eq!(problem, Problem::Type { name: "module value", code: 7 });
}

#[test]
fn a_payload_with_one_flipped_bit_is_refused() {
    let (good, _) = stock_payloads().remove(1);
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 0x10;
        assert!(payload_content(&bad).is_err(), "bit flipped in byte {at}");
    }
}

#[test]
fn a_payload_of_a_later_version_is_refused() {
    let mut bytes = payload(&Content::String(b"x".to_vec()));
    let at = bytes.len() - 10;
    bytes[at] = 12;
    assert_eq!(payload_content(&bytes).unwrap_err().problem, Problem::Version(12));
}

fn sample() -> (Vec<u8>, Vec<Item>) {
    let long: Vec<(Vec<u8>, Vec<u8>)> =
        (0..200).map(|n| (format!("field{n}").into(), format!("value{n}").into())).collect();
    let entries = vec![
        (0, "s", None, Content::String(b"plain".to_vec())),
        (0, "i", Some(1_700_000_000_123), Content::String(b"-70000".to_vec())),
        (0, "l", None, Content::List((0..5000).map(|n| format!("item {n}").into()).collect())),
        (3, "h", Some(5), fields(&[("f", "v"), ("g", "")])),
        (3, "t", None, Content::Hash(long)),
        (3, "z", None, Content::String(b"repeat ".repeat(50))),
    ];
    let mut writer = Writer::new(WriterOptions::default());
    writer.aux("redis-ver", "7.2.4");
    let aux = Item::Aux { key: b"redis-ver".to_vec(), value: b"7.2.4".to_vec() };
    let mut items = vec![aux];
    let mut bytes = Vec::new();
    let mut current = None;
    for (db, key, expires_at_ms, content) in entries {
        if current != Some(db) {
            writer.select_db(db, 3, 1);
            items.push(Item::Sizes { keys: 3, expires: 1 });
            current = Some(db);
        }
        write(&mut writer, key.as_bytes(), expires_at_ms, &content);
        items.push(Item::Entry { db, key: key.into(), content, expires_at_ms });
        bytes.extend(writer.take());
    }
    writer.finish();
    bytes.extend(writer.take());
    items.push(Item::End);
    (bytes, items)
}

#[test]
fn a_snapshot_comes_back_however_its_bytes_are_cut() {
    let (bytes, items) = sample();
    for piece in [1, 2, 7, 1000, bytes.len()] {
        assert_eq!(read_all(&bytes, piece), Ok(items.clone()), "in pieces of {piece}");
    }
}

#[test]
fn a_snapshot_that_ends_early_is_never_whole() {
    let (bytes, _) = sample();
    for cut in (0..bytes.len()).step_by(97) {
        assert!(read_all(&bytes[..cut], 4096).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let (bytes, _) = sample();
    for at in (0..bytes.len()).step_by(61) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        // The header's own bytes and lengths fail by themselves, all others by the sum.
        assert!(read_all(&bad, 4096).is_err(), "bit flipped in byte {at}");
    }
}

#[test]
fn bytes_after_the_end_stay_with_the_caller() {
    let (bytes, items) = sample();
    let mut reader = Reader::default();
    reader.feed(&bytes);
    reader.feed(b"*1\r\n$4\r\nPING\r\n");
    let mut count = 0;
    while reader.next_item().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, items.len());
    assert_eq!(reader.offset(), bytes.len() as u64);
    assert_eq!(reader.leftover(), b"*1\r\n$4\r\nPING\r\n");
}

fn snapshot_of(version: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = version.as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.push(opcode::END);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

fn only_entry(bytes: &[u8]) -> Content {
    let items = read_all(bytes, 5).unwrap();
    match items.into_iter().find(|item| matches!(item, Item::Entry { .. })) {
        Some(Item::Entry { content, .. }) => content,
        other => panic!("no entry: {other:?}"),
    }
}

#[test]
fn collections_of_old_versions_are_read() {
    // A ziplist with a string, each width of integer, and a four-bit number.
    let ziplist = b"\x25\0\0\0\x1f\0\0\0\x07\0\0\x02ab\x04\xfe\xff\x03\xc0\xff\x7f\x04\xf0\x00\x00\
                    \x80\x05\xd0\x00\x00\x00\x80\x06\xfd\x02\xf1\xff";
    let mut elements = strings(&["ab", "-1", "32767", "-8388608", "-2147483648", "12", "0"]);
    let mut ziplist = ziplist.to_vec();
    ziplist[0] = ziplist.len() as u8;
    let blob = |code: u8, prefix: &[u8], blob: &[u8]| {
        let mut body = vec![code, 1, b'k'];
        body.extend_from_slice(prefix);
        body.push(blob.len() as u8);
        body.extend_from_slice(blob);
        body
    };
    let list = snapshot_of("REDIS0004", &blob(kind::LIST_ZIPLIST, b"", &ziplist));
    // Version 4 has no sum: the eight bytes behind it are not looked at.
    assert_eq!(only_entry(&list), Content::List(elements.clone()));
    let quick = snapshot_of("REDIS0009", &blob(kind::LIST_QUICKLIST, b"\x01", &ziplist));
    assert_eq!(only_entry(&quick), Content::List(elements.clone()));
    // The last element goes, and the hash has three fields.
    ziplist.truncate(ziplist.len() - 3);
    ziplist.push(0xff);
    ziplist[0] = ziplist.len() as u8;
    ziplist[8] = 6;
    elements.pop();
    let hash = snapshot_of("REDIS0006", &blob(kind::HASH_ZIPLIST, b"", &ziplist));
    let expected = fields(&[("ab", "-1"), ("32767", "-8388608"), ("-2147483648", "12")]);
    assert_eq!(only_entry(&hash), expected);
    let zipmap = b"\x02\x01a\x02\x01xy-\x03foo\x00\x00\xff";
    let hash = snapshot_of("REDIS0002", &blob(kind::HASH_ZIPMAP, b"", zipmap));
    assert_eq!(only_entry(&hash), fields(&[("a", "xy"), ("foo", "")]));
    let plain = snapshot_of("REDIS0001", b"\xfd\x01\0\0\0\x01\x01k\x02\x01a\xc0\x07");
    assert_eq!(only_entry(&plain), Content::List(strings(&["a", "7"])));
}

#[test]
fn what_we_cannot_hold_is_an_error_with_key_and_type() {
    let bytes = snapshot_of("REDIS0010", b"\x07\x05board\x01\x01a");
    let error = read_all(&bytes, 64).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read RDB at offset 9, key 'board': \
         this node cannot hold a module value (RDB type 7)"
    );
    let bytes = snapshot_of("REDIS0010", b"\xf5\x03abc");
    let problem = read_all(&bytes, 64).unwrap_err().problem;
    assert_eq!(problem, Problem::Content("a function library"));
}

#[test]
fn versions_that_nobody_taught_us_are_refused() {
    for (header, problem) in [
        ("REDIS0012", Problem::Version(12)),
        ("REDIS0000", Problem::Version(0)),
        ("VALKEY081", Problem::Version(81)),
        ("HELLO0010", Problem::NotRdb),
        ("REDIS00x0", Problem::NotRdb),
    ] {
        let error = read_all(&snapshot_of(header, b""), 64).unwrap_err();
        assert_eq!(error.problem, problem, "{header}");
    }
    assert_eq!(read_all(&snapshot_of("REDIS0011", b""), 64), Ok(vec![Item::End]));
    assert_eq!(read_all(&snapshot_of("VALKEY080", b""), 64), Ok(vec![Item::End]));
}

#[test]
fn a_length_of_an_exabyte_only_waits() {
    let mut reader = Reader::default();
    reader.feed(b"REDIS0010\x00\x01k\x81\x10\0\0\0\0\0\0\0");
    assert_eq!(reader.next_item(), Ok(None));
    reader.feed(b"more");
    assert_eq!(reader.next_item(), Ok(None));
    assert!(reader.finish().is_err());
}

#[test]
fn a_hash_with_a_field_twice_is_damaged() {
    let bytes = snapshot_of("REDIS0010", b"\x04\x01h\x02\x01f\x01a\x01f\x01b");
    let problem = read_all(&bytes, 64).unwrap_err().problem;
    assert_eq!(problem, Problem::Damaged("a hash has a field twice"));
}

#[test]
fn a_set_comes_in_four_forms() {
    let bytes = b"\x02\x01\x04\x6f\x6e\x6c\x79\x0a\x00\x61\x90\xc4\xde\x03\x2a\x2d\x68";
    assert_eq!(payload_content(bytes), Ok(Content::Set(strings(&["only"]))));
    let packed = crate::packed::Packed::of(["b", "1", "a"]);
    let mut body = vec![kind::SET_LISTPACK, packed.as_bytes().len() as u8];
    body.extend_from_slice(packed.as_bytes());
    let content = payload_content(&seal_payload(body)).unwrap();
    assert_eq!(content, Content::Set(strings(&["b", "1", "a"])));
    for members in [vec!["3", "1"], vec!["3", "x"], vec!["x"; 65]] {
        let members: Vec<String> =
            members.iter().enumerate().map(|(at, name)| format!("{name}{at}")).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let set = value_of(&Content::Set(strings(&members)));
        let back = restore_payload(&dump_payload(&set, &limits()), &limits()).unwrap();
        assert_eq!((&back, back.encoding()), (&set, set.encoding()));
    }
}

#[test]
fn a_set_with_a_member_twice_or_an_intset_out_of_order_is_damaged() {
    for body in [
        &b"\x02\x02\x01a\x01a"[..],
        b"\x02\x00",
        b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x05\0\x04\0",
        b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x05\0\x05\0",
        b"\x0b\x08\x02\0\0\0\0\0\0\0",
        b"\x14\x0b\x0b\0\0\0\x02\0\x81a\x02\x81a\x02\xff",
    ] {
        assert!(payload_content(&seal_payload(body.to_vec())).is_err(), "{body:?}");
    }
}

#[test]
fn a_sorted_set_comes_in_four_forms() {
    let expected = scored(&[("b", 2.5), ("a", 1.0)]);
    let bytes = b"\x05\x02\x01\x62\x00\x00\x00\x00\x00\x00\x04\x40\x01\x61\x00\x00\x00\x00\x00\x00\
                  \xf0\x3f\x0a\x00\xf4\x6e\xb7\x39\x19\x76\x72\x91";
    assert_eq!(payload_content(bytes).as_ref(), Ok(&expected));
    let large = Limits { zset_max_listpack_entries: 0, ..limits() };
    let value = expected.clone().into_value(&large);
    assert_eq!(dump_payload(&value, &large), bytes);
    let text = b"\x03\x04\x01a\x011\x01b\x042.50\x01c\xfe\x01d\xff".to_vec();
    let expected =
        scored(&[("a", 1.0), ("b", 2.5), ("c", f64::INFINITY), ("d", f64::NEG_INFINITY)]);
    assert_eq!(payload_content(&seal_payload(text)), Ok(expected));
    let ziplist = b"\x0c\x16\x16\0\0\0\x10\0\0\0\x04\0\0\x01a\x03\xf2\x02\x01b\x03\x032.5\xff";
    let mut body = ziplist.to_vec();
    body[1] = body.len() as u8 - 2;
    body[2] = body[1];
    let expected = scored(&[("a", 1.0), ("b", 2.5)]);
    assert_eq!(payload_content(&seal_payload(body)), Ok(expected));
}

#[test]
fn a_sorted_set_with_a_member_twice_or_a_score_that_is_none_is_damaged() {
    for body in [
        &b"\x03\x02\x01a\x011\x01a\x012"[..],
        b"\x03\x01\x01a\xfd",
        b"\x03\x01\x01a\x01x",
        b"\x03\x01\x01a\x03nan",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        b"\x05\x00",
        b"\x11\x0d\x0d\0\0\0\x02\0\x81a\x02\x81x\x02\xff",
        b"\x11\x0a\x0a\0\0\0\x01\0\x81a\x02\xff",
        b"\x11\x07\x07\0\0\0\0\0\xff",
    ] {
        assert!(payload_content(&seal_payload(body.to_vec())).is_err(), "{body:?}");
    }
}

fn any_content() -> impl Strategy<Value = Content> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..100);
    prop_oneof![
        bytes().prop_map(Content::String),
        any::<i64>().prop_map(|n| Content::String(n.to_string().into_bytes())),
        proptest::collection::vec(bytes(), 1..30).prop_map(Content::List),
        proptest::collection::btree_map(bytes(), bytes(), 1..30)
            .prop_map(|map| Content::Hash(map.into_iter().collect())),
        proptest::collection::btree_map(bytes(), -1e9..1e9_f64, 1..30).prop_map(|map| {
            let mut members: Vec<(Vec<u8>, f64)> = map.into_iter().collect();
            members.sort_by(|l, r| l.1.total_cmp(&r.1));
            if members.iter().any(|(member, _)| member.len() > 64) {
                members.reverse();
            }
            Content::SortedSet(members)
        }),
    ]
}

proptest! {
    #[test]
    fn any_value_comes_back_from_its_payload(content in any_content()) {
        prop_assert_eq!(payload_content(&payload(&content)), Ok(content));
    }

    #[test]
    fn damage_is_an_answer_and_never_a_panic(
        content in any_content(), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>(),
    ) {
        // The sum is made right again, so that the damage reaches the parsers behind it.
        let mut body = payload(&content);
        body.truncate(body.len() - 10);
        let length = body.len();
        body[at % length] = byte;
        body.truncate(1 + cut % length);
        let _ = payload_content(&seal_payload(body));
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut snapshot = b"REDIS0010".to_vec();
        snapshot.extend_from_slice(&bytes);
        let _ = read_all(&snapshot, 50);
        let _ = read_all(&bytes, 50);
    }
}
