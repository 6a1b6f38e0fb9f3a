//! Packets that no honest node sends.

use holdfast_wire::bus::{Body, Gossip, Header, Heartbeat, Packet, encode};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;
use proptest::prelude::*;

use crate::harness::{Net, ip};
use crate::{Event, LinkId};

fn a_body() -> impl Strategy<Value = Body> {
    let gossip = (0u8..4, any::<u16>(), any::<u32>()).prop_map(|(node, flags, pong)| Gossip {
        node: NodeId([node; 20]),
        ping_sent_s: pong,
        pong_received_s: pong,
        ip: Some(ip(usize::from(node) + 20)),
        port: 1,
        bus_port: flags,
        flags,
        second_port: 0,
    });
    let beat = prop::collection::vec(gossip, 0..4)
        .prop_map(|gossip| Heartbeat { gossip, ..Heartbeat::default() });
    prop_oneof![
        beat.clone().prop_map(Body::Ping),
        beat.clone().prop_map(Body::Pong),
        beat.prop_map(Body::Meet),
        Just(Body::Vote),
        Just(Body::VoteRequest),
        Just(Body::ManualFailoverStart),
        (0u8..4).prop_map(|node| Body::Fail(NodeId([node; 20]))),
        (0u8..4, any::<u64>(), any::<(u16, u16)>()).prop_map(|(node, config_epoch, range)| {
            let node = NodeId([node; 20]);
            Body::Update { node, config_epoch, slots: SlotSet::from_ranges(&[range]) }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Packets that decode, from members and strangers, with contents that no honest node sends.
    #[test]
    fn no_sequence_of_packets_panics_or_makes_a_slot_have_two_owners(
        packets in prop::collection::vec(
            (
                0usize..4,
                any::<(u64, u64, u64)>(),
                any::<(u16, u16)>(),
                0u8..5,
                any::<u16>(),
                a_body(),
            ),
            1..40,
        )
    ) {
        let mut net = Net::cluster(2, 1);
        let link = LinkId::inbound(1 << 40);
        let ids: Vec<_> = (0..4).map(|at| net.id(at)).collect();
        net.feed(0, Event::Accepted { link, peer_ip: ip(1), local_ip: ip(0) });
        for (from, epochs, range, follows, flags, body) in packets {
            let header = Header {
                sender: ids[from],
                current_epoch: epochs.0,
                config_epoch: epochs.1,
                offset: epochs.2,
                slots: SlotSet::from_ranges(&[range]),
                replica_of: ids.get(usize::from(follows)).copied(),
                flags,
                ..net.node(from).header()
            };
            let frame = encode(&Packet { header, body });
            net.feed(0, Event::Packet { link, frame });
            net.run(20);
            let node = net.node(0);
            let total: u32 = node.slots.iter().map(|(_, slots)| u32::from(slots.len())).sum();
            prop_assert_eq!(total + u32::from(node.slots.free().len()), 16384);
        }
    }
}
