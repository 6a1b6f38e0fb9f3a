//! Who becomes a member, who never does, and how members are found again.

use holdfast_wire::bus::{Body, decode, encode};
use holdfast_wire::id::ClusterId;

use crate::harness::{Net, ip, meet};
use crate::{Event, LinkId, Node};

fn pair(cluster_ids: [Option<u8>; 2]) -> Net {
    let mut net = Net::new(2);
    for (at, id) in cluster_ids.into_iter().enumerate() {
        net.hosts[at].config.cluster_id = id.map(|id| ClusterId([id; 20]));
        net.start(at);
    }
    net
}

fn joined(net: &Net) -> bool {
    net.nodes().all(|node| node.peers.len() == 1)
}

#[test]
fn nodes_of_one_cluster_id_or_of_none_join() {
    for ids in [[Some(1), Some(1)], [None, None]] {
        let mut net = pair(ids);
        net.ok(0, meet(1));
        net.run_until("both joined", joined);
        net.run(5000);
        assert!(joined(&net));
    }
}

#[test]
fn nodes_of_different_cluster_ids_never_join_and_it_is_counted() {
    for ids in [[Some(1), Some(2)], [Some(1), None], [None, Some(2)]] {
        let mut net = pair(ids);
        net.ok(0, meet(1));
        net.run(30_000);
        assert!(net.nodes().all(|node| node.peers.is_empty() && node.handshakes.is_empty()));
        let refused = |node: &Node| node.counters().other_cluster + node.counters().foreign;
        assert!(net.nodes().map(refused).sum::<u64>() > 0, "{ids:?}");
    }
}

#[test]
fn the_door_for_foreign_nodes_lets_in_who_has_no_id_but_never_another_id() {
    let mut net = pair([Some(1), None]);
    for at in 0..2 {
        net.hosts[at].config.allow_foreign_nodes = true;
        net.kill(at);
        net.start(at);
    }
    net.ok(0, meet(1));
    net.run_until("both joined", joined);
    let mut net = pair([Some(1), Some(2)]);
    for at in 0..2 {
        net.hosts[at].config.allow_foreign_nodes = true;
        net.kill(at);
        net.start(at);
    }
    net.ok(0, meet(1));
    net.run(30_000);
    assert!(net.nodes().all(|node| node.peers.is_empty()));
}

#[test]
fn an_address_used_again_by_another_cluster_joins_nothing() {
    let mut net = Net::new(4);
    for at in 2..4 {
        net.hosts[at].config.cluster_id = Some(ClusterId([9; 20]));
    }
    (0..4).for_each(|at| net.start(at));
    net.ok(0, meet(1));
    net.ok(2, meet(3));
    net.run_until("two clusters", joined);
    net.run(100);
    // The first cluster's second node goes, and the other cluster's comes with its address.
    net.kill(1);
    net.kill(3);
    net.hosts[1].ip = ip(9);
    net.hosts[3].ip = ip(1);
    net.start(3);
    net.run(40_000);
    assert_eq!(net.node(0).peers.len(), 1);
    assert_eq!(net.node(2).peers.keys().copied().collect::<Vec<_>>(), [net.id(3)]);
    assert!(!net.node(3).peers.contains_key(&net.id(0)));
    // The old node comes back elsewhere and is found by its own pings.
    net.start(1);
    net.run_until("the old node is seen", |net| {
        net.node(0).peers.values().all(|peer| peer.well() && peer.ip == Some(ip(9)))
    });
}

#[test]
fn a_restarted_node_finds_its_cluster_from_its_file() {
    let mut net = Net::cluster(3, 0);
    let (id, epoch) = (net.id(1), net.node(1).config_epoch);
    net.kill(1);
    net.start(1);
    assert_eq!((net.id(1), net.node(1).config_epoch), (id, epoch));
    net.run_until("ok again", |net| net.nodes().all(|node| node.health.ok));
}

#[test]
fn a_node_whose_address_changed_is_found_again() {
    let mut net = Net::cluster(3, 0);
    net.kill(1);
    net.hosts[1].ip = ip(20);
    net.start(1);
    net.run_until("moved", |net| {
        let id = net.id(1);
        [0, 2].iter().all(|at| net.node(*at).peers[&id].ip == Some(ip(20)))
    });
    net.run_until("ok again", |net| net.nodes().all(|node| node.health.ok));
}

#[test]
fn a_forgotten_node_does_not_come_back_by_gossip() {
    let mut net = Net::cluster(3, 0);
    let id = net.id(2);
    let command = |id| crate::ClusterCommand::Forget(id);
    net.kill(2);
    net.ok(0, command(id));
    net.run(10_000);
    assert!(!net.node(0).peers.contains_key(&id), "node 1 still gossips about it");
    assert!(net.node(1).peers.contains_key(&id));
}

#[test]
fn nothing_but_the_hostname_is_told_to_a_stock_node() {
    let mut net = pair([None, None]);
    net.hosts[0].config.hostname = "zero.example".to_owned();
    net.kill(0);
    net.start(0);
    net.ok(0, meet(1));
    net.run_until("both joined", joined);
    net.run(2000);
    let extensions = |packet: &holdfast_wire::bus::Packet| match &packet.body {
        Body::Ping(beat) | Body::Pong(beat) | Body::Meet(beat) => Some(beat.extensions.clone()),
        _ => None,
    };
    let ours: Vec<_> =
        net.sent.iter().filter(|(_, at, _)| *at == 0).filter_map(|s| extensions(&s.2)).collect();
    assert!(ours.iter().any(|told| told.holdfast.is_some()));
    assert!(ours.first().unwrap().holdfast.is_none(), "MEET must carry no extension");
    // The same packets, without our mark: what a stock node would send.
    let (_, _, mut ping) = net.sent.iter().rfind(|(_, at, _)| *at == 1).unwrap().clone();
    ping.header.ours = false;
    ping.header.extensions = true;
    ping.body = Body::Ping(holdfast_wire::bus::Heartbeat::default());
    let link = LinkId::inbound(1 << 40);
    let node = net.hosts[0].node.as_mut().unwrap();
    let accepted = Event::Accepted { link, peer_ip: ip(1), local_ip: ip(0) };
    node.handle(net.now, accepted);
    let ready = node.handle(net.now, Event::Packet { link, frame: encode(&ping) });
    let pong = decode(&ready.send.iter().find(|send| send.link == link).unwrap().frame).unwrap();
    let told = extensions(&pong).unwrap();
    assert_eq!(told.hostname.as_deref(), Some("zero.example"));
    assert_eq!((told.holdfast, told.shard, told.human_name), (None, None, None));
}

#[test]
fn a_name_is_asked_again_when_a_link_fails() {
    let mut net = pair([None, None]);
    net.hosts[1].config.hostname = "one.example".to_owned();
    net.kill(1);
    net.start(1);
    net.ok(0, meet(1));
    net.run_until("the name is known", |net| {
        net.node(0).peers.values().any(|peer| peer.hostname == "one.example")
    });
    let id = net.id(1);
    let now = net.now.plus(1);
    let node = net.hosts[0].node.as_mut().unwrap();
    let link = node.peers[&id].link.unwrap();
    let ready = node.handle(now, Event::Closed { link, reset: true });
    assert_eq!(ready.resolve.len(), 1);
    assert_eq!(ready.resolve[0].hostname, "one.example");
    let node_ip = Some(ip(33));
    let ready = node.handle(now.plus(50), Event::Resolved { node: id, ip: node_ip });
    assert!(ready.connect.iter().any(|connect| connect.address.ip() == ip(33)));
}

#[test]
fn random_bytes_on_a_link_are_counted_and_change_nothing() {
    let mut net = Net::cluster(3, 0);
    let before = net.node(0).state();
    let link = LinkId::inbound(1 << 40);
    let node = net.hosts[0].node.as_mut().unwrap();
    node.handle(net.now, Event::Accepted { link, peer_ip: ip(9), local_ip: ip(0) });
    for length in [0usize, 7, 2256, 4000] {
        let frame = (0..length).map(|byte| (byte * 37 + length) as u8).collect();
        node.handle(net.now, Event::Packet { link, frame });
    }
    assert_eq!(node.counters().malformed, 4);
    assert_eq!(node.state().peers, before.peers);
}
