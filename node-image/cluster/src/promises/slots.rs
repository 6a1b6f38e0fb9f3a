//! Claims, migrations, commands and views.

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{Slot, SlotSet};

use crate::harness::{Net, meet, share};
use crate::{ClusterCommand, CommandFacts, Reply, RoleChange, SlotChange};

#[test]
fn two_primaries_with_one_epoch_draw_apart() {
    let mut net = Net::new(2);
    for at in 0..2 {
        net.start(at);
        net.ok(at, ClusterCommand::SetConfigEpoch(4));
        net.ok(at, ClusterCommand::AddSlots(share(at, 2)));
    }
    net.ok(0, meet(1));
    net.run_until("different", |net| {
        net.nodes().all(|node| node.peers.len() == 1)
            && net.node(0).config_epoch != net.node(1).config_epoch
    });
    net.run(500);
    let smaller = usize::from(net.id(1) < net.id(0));
    assert_eq!(net.node(smaller).config_epoch, 5);
    assert_eq!(net.node(1 - smaller).config_epoch, 4);
}

#[test]
fn the_newer_epoch_wins_a_slot_and_the_loser_drops_its_keys() {
    let mut net = Net::cluster(3, 0);
    let slots = SlotSet::from_ranges(&[(0, 9)]);
    let from = net.id(0);
    net.ok(1, ClusterCommand::ClaimSlots { slots: slots.clone(), from });
    let new = net.id(1);
    net.run_until("all know", |net| {
        net.nodes().all(|node| (0..10).all(|slot| node.owner(Slot(slot)) == Some(new)))
    });
    assert_eq!(net.hosts[0].dropped, slots);
    assert!(net.node(0).is_primary());
    // Asked again, it changes nothing.
    let epoch = net.node(1).config_epoch;
    net.ok(1, ClusterCommand::ClaimSlots { slots, from });
    assert_eq!(net.node(1).config_epoch, epoch);
}

#[test]
fn a_claim_on_somebody_elses_slots_is_refused() {
    let mut net = Net::cluster(3, 0);
    let from = net.id(0);
    let slots = SlotSet::from_ranges(&[(16000, 16001)]);
    let result =
        net.command(1, ClusterCommand::ClaimSlots { slots, from }, CommandFacts::default());
    assert!(result.unwrap_err().starts_with("ERR Slot 16000 is not owned by"));
}

#[test]
fn a_claim_answers_and_is_told_only_once_it_is_durable() {
    let mut net = Net::cluster(3, 0);
    net.hosts[1].disk_ms = 100;
    let (from, new) = (net.id(0), net.id(1));
    let slots = SlotSet::from_ranges(&[(0, 9)]);
    let start = net.now;
    net.ok(1, ClusterCommand::ClaimSlots { slots, from });
    assert!(net.now.since(start) >= 100);
    let told =
        net.sent.iter().find(|(_, at, packet)| *at == 1 && packet.header.slots.contains(Slot(0)));
    assert!(told.is_none_or(|(at, _, _)| at.since(start) >= 100));
    net.run_until("told", |net| net.node(0).owner(Slot(0)) == Some(new));
}

#[test]
fn the_last_slot_given_away_makes_a_follower() {
    let mut net = Net::cluster(3, 1);
    let (from, new) = (net.id(0), net.id(1));
    net.ok(1, ClusterCommand::ClaimSlots { slots: share(0, 3), from });
    net.run_until("both follow", |net| {
        [0, 3].iter().all(
            |at| matches!(net.hosts[*at].role, Some(RoleChange::ReplicaOf { id, .. }) if id == new),
        )
    });
    let mut net = Net::new(3);
    for at in 0..3 {
        net.hosts[at].config.allow_replica_migration = false;
    }
    net.form(2);
    let (from, new) = (net.id(0), net.id(1));
    net.ok(1, ClusterCommand::ClaimSlots { slots: share(0, 2), from });
    net.run(3000);
    assert!(net.nodes().all(|node| node.slots.count(new) == 16384));
    assert!(net.node(0).is_primary(), "cluster-allow-replica-migration no: it stays, empty");
}

#[test]
fn the_classic_way_moves_a_slot() {
    let mut net = Net::cluster(2, 0);
    let (source, target) = (net.id(0), net.id(1));
    let slots = SlotSet::from_iter([Slot(3)]);
    let set = |change| ClusterCommand::SetSlots { slots: slots.clone(), change };
    net.ok(1, set(SlotChange::Importing(source)));
    net.ok(0, set(SlotChange::Migrating(target)));
    assert_eq!(net.node(0).routing().migrating_to(Slot(3)), Some(target));
    assert_eq!(net.node(1).routing().importing_from(Slot(3)), Some(source));
    let keys = CommandFacts { keys: 5, keys_in_slots: 1, secured: false };
    let held = net.command(0, set(SlotChange::Node(target)), keys);
    assert!(held.unwrap_err().contains("while I still hold keys"));
    net.ok(1, set(SlotChange::Node(target)));
    net.ok(0, set(SlotChange::Node(target)));
    net.run(500);
    assert_eq!(net.owner_of(3), target);
    assert!(net.nodes().all(|node| !node.routing().in_motion(Slot(3))));
}

#[test]
fn errors_are_the_ones_that_redis_gives() {
    let mut net = Net::cluster(2, 1);
    let stranger = NodeId([0xee; 20]);
    let primary = net.id(0);
    let keys = CommandFacts { keys: 1, ..CommandFacts::default() };
    let mut error = |at, command| net.command(at, command, keys).unwrap_err();
    assert_eq!(error(0, ClusterCommand::AddSlots(share(1, 2))), "ERR Slot 8192 is already busy");
    assert_eq!(error(0, ClusterCommand::Forget(stranger)), format!("ERR Unknown node {stranger}"));
    assert_eq!(
        error(0, ClusterCommand::Forget(primary)),
        "ERR I tried hard but I can't forget myself..."
    );
    assert_eq!(error(2, ClusterCommand::Forget(primary)), "ERR Can't forget my master!");
    assert_eq!(
        error(1, ClusterCommand::Replicate(primary)),
        "ERR To set a master the node must be empty and without assigned slots."
    );
    assert_eq!(
        error(0, ClusterCommand::Failover(crate::FailoverKind::Graceful)),
        "ERR You should send CLUSTER FAILOVER to a replica"
    );
    assert_eq!(
        error(0, ClusterCommand::SetConfigEpoch(9)),
        "ERR The user can assign a config epoch only when the node does not know any other node."
    );
    let change = SlotChange::Migrating(primary);
    let slots = share(1, 2);
    assert_eq!(
        error(0, ClusterCommand::SetSlots { slots, change }),
        "ERR I'm not the owner of hash slot 8192"
    );
}

#[test]
fn views_show_the_cluster() {
    let mut net = Net::cluster(3, 1);
    let Reply::Text(nodes) = net.ok(0, ClusterCommand::Nodes) else { panic!("no text") };
    assert_eq!(nodes.lines().count(), 6);
    let own = nodes.lines().next().unwrap();
    assert!(own.starts_with(&format!("{} 10.0.0.1:6379@16379 myself,master - 0 ", net.id(0))));
    assert!(own.ends_with(" 1 connected 0-5460"), "{own}");
    let Reply::Slots(ranges) = net.ok(0, ClusterCommand::Slots) else { panic!("no slots") };
    assert_eq!(ranges.iter().map(|range| range.nodes.len()).collect::<Vec<_>>(), [2, 2, 2]);
    let Reply::Shards(shards) = net.ok(4, ClusterCommand::Shards) else { panic!("no shards") };
    assert!(shards.iter().all(|shard| shard.nodes.len() == 2 && shard.slots.len() == 1));
    let Reply::Text(info) = net.ok(4, ClusterCommand::Info) else { panic!("no text") };
    for line in
        ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:6", "cluster_size:3"]
    {
        assert!(info.lines().any(|told| told == line), "{line} in {info}");
    }
    let state = net.node(3).state();
    assert_eq!((state.primary_id, state.peers.len()), (net.id(0).to_string(), 5));
    assert!(state.link_up && state.cluster_ok && state.slots_assigned == 16384);
}

#[test]
fn reset_forgets_everybody() {
    let mut net = Net::cluster(2, 1);
    let (id, epoch) = (net.id(3), net.node(3).current_epoch());
    net.ok(3, ClusterCommand::Reset { hard: false });
    assert_eq!((net.id(3), net.node(3).current_epoch()), (id, epoch));
    assert!(net.node(3).is_primary());
    assert!(net.node(3).peers.is_empty());
    net.ok(3, ClusterCommand::Reset { hard: true });
    assert_ne!(net.id(3), id);
    assert_eq!(net.node(3).current_epoch(), 0);
}

#[test]
fn an_orphan_gets_a_replica_from_where_there_are_two() {
    let mut net = Net::cluster(3, 2);
    // The first primary loses both its replicas.
    net.kill(3);
    net.kill(6);
    let orphan = net.id(0);
    net.run_until("adopted", |net| net.nodes().any(|node| node.primary == Some(orphan)));
}
