//! Packets read back, stand byte for byte where they must, and never make the decoder panic.

use proptest::prelude::*;

use super::*;
use crate::slot::Slot;

fn header() -> Header {
    Header {
        sender: NodeId([0xab; 20]),
        current_epoch: 7,
        config_epoch: 5,
        offset: 1234,
        slots: SlotSet::from_ranges(&[(0, 5460)]),
        replica_of: None,
        ip: Some([10, 0, 0, 7].into()),
        port: 6379,
        second_port: 0,
        bus_port: 16379,
        flags: flags::MYSELF | flags::PRIMARY,
        cluster_ok: true,
        paused: false,
        force_vote: true,
        extensions: true,
        ours: true,
    }
}

fn gossip(node: u8) -> Gossip {
    Gossip {
        node: NodeId([node; 20]),
        ping_sent_s: 0,
        pong_received_s: 1_700_000_000,
        ip: Some("fe80::1".parse().unwrap()),
        port: 6380,
        bus_port: 16380,
        flags: flags::REPLICA | flags::PFAIL,
        second_port: 0,
    }
}

fn extensions() -> Extensions {
    Extensions {
        hostname: Some("cache-0-0.cache-nodes".to_owned()),
        human_name: Some("seven".to_owned()),
        shard: Some(ShardId([9; 20])),
        forgotten: vec![(NodeId([8; 20]), 60)],
        holdfast: Some(Holdfast {
            cluster: Some(ClusterId([1; 20])),
            boot: BootId([2; 16]),
            shard: ShardId([9; 20]),
            lame: true,
            take_over: false,
        }),
        unknown: 0,
    }
}

fn bodies() -> Vec<Body> {
    let heartbeat = Heartbeat { gossip: vec![gossip(1), gossip(2)], extensions: extensions() };
    vec![
        Body::Ping(heartbeat.clone()),
        Body::Pong(Heartbeat::default()),
        Body::Meet(heartbeat),
        Body::Fail(NodeId([3; 20])),
        Body::Publish { channel: b"c".to_vec(), message: vec![0; 300], sharded: false },
        Body::Publish { channel: b"s".to_vec(), message: Vec::new(), sharded: true },
        Body::VoteRequest,
        Body::Vote,
        Body::Update {
            node: NodeId([4; 20]),
            config_epoch: 9,
            slots: SlotSet::from_iter([Slot(3)]),
        },
        Body::ManualFailoverStart,
    ]
}

#[test]
fn every_packet_reads_back_as_it_was_written() {
    for body in bodies() {
        let packet = Packet { header: header(), body };
        let frame = encode(&packet);
        assert_eq!(frame_len(&frame), Ok(Some(frame.len())));
        assert_eq!(decode(&frame), Ok(packet));
    }
}

#[test]
fn fields_stand_where_the_format_wants_them() {
    let frame = encode(&Packet { header: header(), body: bodies().remove(0) });
    assert_eq!(&frame[..4], b"RCmb");
    assert_eq!(&frame[8..16], &[0, 1, 0x18, 0xeb, 0, 0, 0, 2]);
    assert_eq!(&frame[40..44], b"abab");
    assert_eq!(frame[80], 0xff);
    assert_eq!(&frame[2168..2177], b"10.0.0.7\0");
    assert_eq!(&frame[2214..2216], &[0, 5]);
    assert_eq!(&frame[2216..2221], b"HFST\x01");
    assert_eq!(&frame[2248..2256], &[0x3f, 0xfb, 0, 17, 0, 6, 0, 0]);
    let entry = &frame[HEADER_BYTES..];
    assert_eq!(&entry[48..56], b"fe80::1\0");
    assert_eq!(&entry[94..104], &[0x18, 0xec, 0x3f, 0xfc, 0, 6, 0, 0, 0, 0]);
    let hostname = &frame[HEADER_BYTES + 2 * GOSSIP_BYTES..];
    assert_eq!(&hostname[..10], &[0, 0, 0, 32, 0, 0, 0, 0, b'c', b'a']);
}

#[test]
fn a_stock_header_is_not_taken_for_ours() {
    let mut packet = Packet { header: header(), body: Body::Vote };
    packet.header.ours = false;
    assert!(!decode(&encode(&packet)).unwrap().header.ours);
}

#[test]
fn unknown_extensions_are_skipped_and_counted() {
    let mut frame = encode(&Packet { header: header(), body: bodies().remove(0) });
    let at = HEADER_BYTES + 2 * GOSSIP_BYTES + 4;
    frame[at..at + 2].copy_from_slice(&77u16.to_be_bytes());
    let Body::Ping(heartbeat) = decode(&frame).unwrap().body else { panic!("not a ping") };
    assert_eq!(heartbeat.extensions.unknown, 1);
    assert_eq!(heartbeat.extensions.human_name.as_deref(), Some("seven"));
}

#[test]
fn a_stream_that_is_not_the_bus_is_refused_at_its_first_bytes() {
    assert_eq!(frame_len(b"RC"), Ok(None));
    assert_eq!(frame_len(b""), Ok(None));
    assert_eq!(frame_len(b"GET"), Err(FrameError::Signature));
    assert_eq!(frame_len(b"RCmb\0\0\0\x01"), Err(FrameError::Length(1)));
    assert_eq!(frame_len(b"RCmb\xff\xff\xff\xff"), Err(FrameError::Length(u32::MAX)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = frame_len(&bytes);
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn no_damage_makes_the_decoder_panic(
        kind in 0usize..10,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frame = encode(&Packet { header: header(), body: bodies().swap_remove(kind) });
        for (at, byte) in &damage {
            let at = at.index(frame.len());
            frame[at] = *byte;
        }
        let _ = decode(&frame);
        frame.truncate(cut.index(frame.len() + 1));
        let length = frame.len() as u32;
        if let Some(field) = frame.get_mut(4..8) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        let _ = decode(&frame);
    }
}
