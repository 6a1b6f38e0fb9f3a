//! Elections, hand-overs and lame primaries: who votes, who wins, what waits for the disk.

use std::collections::BTreeMap;

use holdfast_wire::bus::{Body, Header, Packet, encode};
use holdfast_wire::id::NodeId;

use crate::harness::Net;
use crate::{ClusterCommand, Event, FailoverKind, HandOver, LinkId, RoleChange};

/// Sends node 0 a request for votes by a replica, as if from the network.
fn request(net: &mut Net, from: usize, epoch: u64) {
    let packet = request_packet(net, from, epoch);
    let link = LinkId::inbound((1 << 40) + epoch * 100 + from as u64);
    let (peer_ip, local_ip) = (net.hosts[from].ip, net.hosts[0].ip);
    net.feed(0, Event::Accepted { link, peer_ip, local_ip });
    net.feed(0, Event::Packet { link, frame: encode(&packet) });
}

fn request_packet(net: &Net, from: usize, epoch: u64) -> Packet {
    let header = net.node(from).header();
    let header = Header { current_epoch: epoch, force_vote: true, ..header };
    Packet { header, body: Body::VoteRequest }
}

/// Votes by node 0, by epoch.
fn votes(net: &Net) -> BTreeMap<u64, usize> {
    let mut votes = BTreeMap::new();
    for (_, at, packet) in &net.sent {
        if *at == 0 && packet.body == Body::Vote {
            *votes.entry(packet.header.current_epoch).or_default() += 1;
        }
    }
    votes
}

#[test]
fn votes_once_per_epoch() {
    let mut net = Net::cluster(3, 2);
    request(&mut net, 4, 100);
    request(&mut net, 7, 100);
    net.run(5);
    assert_eq!(votes(&net), BTreeMap::from([(100, 1)]));
}

#[test]
fn votes_once_per_epoch_even_across_a_crash() {
    let mut net = Net::cluster(3, 2);
    request(&mut net, 4, 100);
    net.run(5);
    assert_eq!(votes(&net).len(), 1);
    net.kill(0);
    net.start(0);
    net.run_until("links", |net| net.node(0).all_links().len() == 8);
    assert_eq!(net.node(0).last_vote_epoch(), 100);
    request(&mut net, 7, 100);
    net.run(20);
    assert_eq!(votes(&net), BTreeMap::from([(100, 1)]));
}

#[test]
fn a_vote_waits_for_the_disk_and_is_lost_with_it() {
    let mut net = Net::cluster(3, 2);
    net.hosts[0].disk_ms = 50;
    request(&mut net, 4, 100);
    net.run(40);
    assert_eq!(votes(&net), BTreeMap::new());
    net.kill(0);
    net.start(0);
    net.run(200);
    assert_eq!(votes(&net), BTreeMap::new(), "a vote that was not durable was never given");
    net.run_until("links", |net| net.node(0).all_links().len() == 8);
    request(&mut net, 7, 100);
    net.run(60);
    assert_eq!(votes(&net), BTreeMap::from([(100, 1)]), "so another may get it");
}

#[test]
fn a_node_with_a_broken_disk_neither_votes_nor_stands() {
    let mut net = Net::cluster(3, 1);
    net.hosts[0].disk_broken = true;
    request(&mut net, 4, 100);
    net.run(20);
    request(&mut net, 5, 101);
    net.run(20);
    assert_eq!(votes(&net), BTreeMap::new());
    net.hosts[3].disk_broken = true;
    net.kill(0);
    net.run(5000);
    assert!(!net.node(3).is_primary());
    assert_eq!(net.node(3).counters().elections_won, 0);
}

#[test]
fn the_same_request_gets_the_same_vote_again() {
    let mut net = Net::cluster(3, 1);
    request(&mut net, 4, 100);
    net.run(5);
    let packet = request_packet(&net, 4, 100);
    let link = LinkId::inbound(1 << 41);
    let (peer_ip, local_ip) = (net.hosts[4].ip, net.hosts[0].ip);
    net.feed(0, Event::Accepted { link, peer_ip, local_ip });
    net.feed(0, Event::Packet { link, frame: encode(&packet) });
    net.run(5);
    assert_eq!(votes(&net), BTreeMap::from([(100, 2)]));
    assert_eq!(net.node(0).counters().votes, 1);
}

#[test]
fn a_killed_primary_is_replaced_and_follows_when_it_comes_back() {
    let mut net = Net::cluster(3, 1);
    let (old, new) = (net.id(0), net.id(3));
    net.kill(0);
    let took = net.run_until("a new owner", |net| {
        net.nodes().all(|node| node.health.ok && node.slots.has_slots(new))
    });
    assert!(took < 500, "{took} ms, with a node timeout of 15 s");
    assert_eq!(net.owner_of(0), new);
    net.start(0);
    net.run_until(
        "the old one follows",
        |net| matches!(net.hosts[0].role, Some(RoleChange::ReplicaOf { id, .. }) if id == new),
    );
    net.run(2000);
    assert_eq!(net.owner_of(0), new);
    assert!(net.nodes().all(|node| node.health.ok && !node.slots.has_slots(old)));
}

#[test]
fn every_primary_may_die_in_turn() {
    let mut net = Net::cluster(3, 2);
    for round in 0..6 {
        let owner = net.owner_of(round * 2700);
        let at = (0..9).find(|at| net.id(*at) == owner).unwrap();
        net.kill(at);
        net.run_until("a new owner", |net| {
            net.nodes().all(|node| {
                node.health.ok && node.owner(holdfast_wire::slot::Slot(round * 2700)) != Some(owner)
            })
        });
        net.start(at);
        net.run_until("whole again", |net| {
            net.nodes().all(|node| node.health.ok && node.peers.values().all(|peer| peer.well()))
                && net.nodes().filter(|node| node.is_primary()).count() == 3
        });
    }
}

#[test]
fn the_replica_that_has_most_wins() {
    let mut net = Net::cluster(3, 2);
    net.hosts[0].offset = 1000;
    net.run(300);
    // The second replica hears nothing of the last writes.
    net.cut.insert((0, 3));
    net.hosts[0].offset = 2000;
    net.run(500);
    assert_eq!((net.hosts[3].offset, net.hosts[6].offset), (1000, 2000));
    let best = net.id(6);
    net.kill(0);
    net.run_until("a new owner", |net| net.node(1).slots.has_slots(best));
}

#[test]
fn a_replica_without_a_copy_never_stands() {
    let mut net = Net::cluster(3, 0);
    net.hosts.push(Net::new(4).hosts.remove(3));
    net.start(3);
    net.ok(0, crate::harness::meet(3));
    net.run_until("known", |net| net.nodes().all(|node| node.peers.len() == 3));
    net.cut.insert((0, 3));
    let primary = net.id(0);
    net.ok(3, ClusterCommand::Replicate(primary));
    net.run(500);
    net.kill(0);
    net.run(10_000);
    assert!(net.node(3).peers[&primary].failed());
    assert!(!net.node(3).is_primary());
}

#[test]
fn a_manual_failover_loses_no_offset() {
    let mut net = Net::cluster(3, 1);
    let new = net.id(3);
    net.hosts[0].offset = 5000;
    net.ok(3, ClusterCommand::Failover(FailoverKind::Graceful));
    // Writes go on until the primary pauses.
    let mut written = 5000;
    while net.node(0).is_primary() {
        if !net.hosts[0].paused {
            written += 10;
            net.hosts[0].offset = written;
        }
        net.run(1);
        assert!(net.node(3).slots.count(new) == 0 || net.hosts[3].offset == written);
    }
    assert_eq!(net.hosts[3].offset, written);
    net.run(500);
    assert_eq!(net.owner_of(0), new);
    assert!(!net.hosts[0].paused, "writes are let go when the failover is over");
}

#[test]
fn force_and_takeover_need_less() {
    let mut net = Net::cluster(3, 1);
    let new = net.id(3);
    net.ok(3, ClusterCommand::Failover(FailoverKind::Force));
    net.run_until("forced", |net| net.nodes().all(|node| node.slots.has_slots(new)));
    let mut net = Net::cluster(1, 1);
    let new = net.id(1);
    net.kill(0);
    net.run(3000);
    assert!(!net.node(1).is_primary(), "nobody can vote");
    net.ok(1, ClusterCommand::Failover(FailoverKind::Takeover));
    let took = net.run_until("taken over", |net| net.nodes().all(|node| node.health.ok));
    assert!(took < 100, "{took} ms: nobody knows better than the one that has just taken over");
    assert_eq!(net.owner_of(0), new);
}

#[test]
fn a_lame_primary_is_replaced_also_when_it_is_the_only_voter() {
    for primaries in [1, 2, 3] {
        let mut net = Net::cluster(primaries, 1);
        let new = net.id(primaries);
        let old = net.id(0);
        // It is back, empty, before anybody could see that it was gone.
        let host = &mut net.hosts[0];
        host.offset = 0;
        net.kill(0);
        net.start(0);
        net.feed(0, Event::Booted { has_data_mark: true, keys: 0 });
        assert!(net.node(0).routing().lame);
        let took = net.run_until("replaced", |net| {
            net.nodes().all(|node| node.slots.has_slots(new) && !node.slots.has_slots(old))
        });
        assert!(took < 3000, "{took} ms with {primaries} primaries");
        net.run_until("ok", |net| net.nodes().all(|node| node.health.ok));
        assert!(!net.node(0).lame && !net.node(0).is_primary());
    }
}

#[test]
fn a_primary_that_leaves_hands_over_first() {
    let mut net = Net::cluster(3, 1);
    let new = net.id(3);
    net.feed(0, Event::Leave { deadline_ms: 5000 });
    let took = net.run_until("an end", |net| net.hosts[0].hand_over.is_some());
    assert_eq!(net.hosts[0].hand_over, Some(HandOver::Done));
    assert!(took < 200, "{took} ms");
    net.run(200);
    assert_eq!(net.owner_of(0), new);
}

#[test]
fn a_primary_without_an_heir_and_a_replica_leave_at_once() {
    let mut net = Net::cluster(3, 1);
    net.feed(3, Event::Leave { deadline_ms: 5000 });
    assert_eq!(net.hosts[3].hand_over, Some(HandOver::Done));
    net.kill(3);
    net.run(500);
    net.feed(0, Event::Leave { deadline_ms: 5000 });
    assert_eq!(net.hosts[0].hand_over, Some(HandOver::Failed));
}

#[test]
fn a_win_is_told_to_nobody_before_it_is_durable() {
    let mut net = Net::cluster(3, 1);
    let new = net.id(3);
    net.hosts[3].disk_ms = 100;
    net.kill(0);
    net.run_until("won", |net| net.node(3).counters().elections_won == 1);
    let from = net.sent.len();
    net.run(50);
    assert!(net.sent[from..].iter().filter(|(_, at, _)| *at == 3).all(|(_, _, packet)| {
        packet.header.replica_of.is_some() && packet.header.config_epoch == 1
    }));
    assert!(net.node(1).slots.count(new) == 0);
    // It crashes before the disk has it: nobody ever heard of the claim.
    net.kill(3);
    net.hosts[3].disk_ms = 1;
    net.hosts[3].has_copy = true;
    net.start(3);
    assert!(!net.node(3).is_primary());
}

#[test]
fn an_epoch_is_never_lower_on_disk_than_before() {
    let mut net = Net::cluster(3, 1);
    let epochs = |net: &Net| -> Vec<u64> {
        let read = |text: &String| crate::nodes_conf::read(text).unwrap().current_epoch;
        net.hosts.iter().map(|host| host.disk.as_ref().map_or(0, read)).collect()
    };
    let mut last = epochs(&net);
    for victim in [0, 1, 3] {
        net.kill(victim);
        for _ in 0..20 {
            net.run(100);
            let now = epochs(&net);
            assert!(now.iter().zip(&last).all(|(now, last)| now >= last));
            last = now;
        }
        net.start(victim);
        net.run(5000);
    }
    let winner: NodeId = net.owner_of(0);
    assert!(net.nodes().any(|node| node.id() == winner));
}

#[test]
fn a_lame_primary_whose_slots_are_taken_away_is_an_empty_primary() {
    let mut net = Net::cluster(1, 0);
    net.kill(0);
    net.start(0);
    net.feed(0, Event::Booted { has_data_mark: true, keys: 0 });
    net.run(5000);
    assert!(net.node(0).routing().lame);
    net.ok(0, ClusterCommand::FlushSlots);
    assert!(!net.node(0).routing().lame);
}

#[test]
fn who_stands_never_votes_for_another_in_that_epoch() {
    let mut net = Net::cluster(3, 2);
    net.kill(0);
    net.run_until("won", |net| net.nodes().any(|node| node.counters().elections_won == 1));
    let winner = net.nodes().find(|node| node.counters().elections_won == 1).unwrap();
    assert_eq!(winner.last_vote_epoch(), winner.config_epoch);
}
