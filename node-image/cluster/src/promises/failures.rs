//! Suspicion, failure, forgiveness, and the word of the operator.

use holdfast_wire::bus::{Body, flags};
use holdfast_wire::id::BootId;

use crate::command::Reply;
use crate::harness::Net;
use crate::{Event, Token};

#[test]
fn a_refused_connection_is_suspicion_at_once_and_the_majority_makes_it_a_failure() {
    let mut net = Net::cluster(3, 0);
    let dead = net.id(2);
    net.kill(2);
    let took =
        net.run_until("FAIL everywhere", |net| net.nodes().all(|node| node.peers[&dead].failed()));
    assert!(took < 100, "{took} ms, with a node timeout of 15 s");
    net.run(200);
    assert!(net.nodes().all(|node| !node.health.ok));
}

#[test]
fn one_opinion_is_no_failure() {
    let mut net = Net::cluster(3, 0);
    let (suspect, timeout) = (net.id(2), net.node(0).config().node_timeout_ms);
    net.cut.insert((0, 2));
    net.run(timeout * 3);
    assert!(net.node(0).peers[&suspect].pfail);
    assert!(!net.node(0).peers[&suspect].failed());
    assert!(net.node(1).peers[&suspect].well());
}

#[test]
fn silence_is_a_failure_after_the_node_timeout_only() {
    let mut net = Net::cluster(3, 0);
    let dead = net.id(2);
    for other in 0..2 {
        net.cut.insert((other, 2));
    }
    let took = net.run_until("FAIL", |net| net.node(0).peers[&dead].failed());
    assert!((10_000..40_000).contains(&took), "{took} ms");
    net.run_until("the minority stops", |net| !net.node(2).health.ok);
    net.cut.clear();
    net.run_until("healed", |net| net.nodes().all(|node| node.health.ok));
}

#[test]
fn a_primary_without_replicas_that_comes_back_is_forgiven_at_once() {
    let mut net = Net::cluster(3, 0);
    let dead = net.id(2);
    net.kill(2);
    net.run_until("FAIL", |net| net.node(0).peers[&dead].failed());
    net.start(2);
    let took = net.run_until("ok", |net| net.nodes().all(|node| node.health.ok));
    assert!(took < 6000, "{took} ms");
}

#[test]
fn dead_by_the_operators_word_counts_for_that_life_only() {
    let mut net = Net::cluster(3, 0);
    let id = net.id(2);
    let (boot, epoch) = (net.node(2).config().boot_id, net.node(2).config_epoch);
    let ask = |net: &mut Net, boot_id, config_epoch| {
        net.hosts[0].answers.clear();
        net.feed(0, Event::Dead { token: Token(5), node: id, boot_id, config_epoch });
        net.hosts[0].answers.remove(0).result
    };
    let another = ask(&mut net, Some(BootId([99; 16])), epoch);
    let ignored = |answer: Result<Reply, String>| match answer {
        Ok(Reply::Status(text)) => text.starts_with("IGNORED"),
        _ => false,
    };
    assert!(ignored(another));
    assert!(ignored(ask(&mut net, Some(boot), epoch + 1)));
    assert!(net.nodes().all(|node| node.peers.get(&id).is_none_or(|peer| peer.well())));
    assert_eq!(ask(&mut net, Some(boot), epoch), Ok(Reply::Ok));
    assert!(net.node(0).peers[&id].failed());
    net.run(3);
    assert!(net.node(1).peers[&id].failed(), "FAIL is told to all at once");
}

#[test]
fn suspicions_travel_in_gossip() {
    let mut net = Net::cluster(3, 0);
    let dead = net.id(2);
    net.kill(2);
    net.run(20);
    let told = net.sent.iter().any(|(_, at, packet)| match &packet.body {
        Body::Ping(beat) => beat
            .gossip
            .iter()
            .any(|entry| *at == 0 && entry.node == dead && entry.flags & flags::PFAIL != 0),
        _ => false,
    });
    assert!(told);
}
