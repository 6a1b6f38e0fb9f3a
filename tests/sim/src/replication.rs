//! Data as far as the protocol needs it: offsets that rise, copies that follow, writes that some
//! node would take.
//!
//! A replica that reaches its primary first gets a full copy, which takes a while, and then has
//! the primary's offset after each round. Not known here: keys.

use holdfast_cluster::{Access, Event, Millis, Presence, ReplicationFacts, RoleChange, Route};
use holdfast_wire::id::NodeId;
use holdfast_wire::slot::Slot;

use crate::network::HostId;
use crate::world::World;

/// One slot of each sixteenth part of the key space stands for the rest.
pub const SAMPLES: [u16; 16] = [
    3, 1030, 2055, 3080, 4100, 5130, 6150, 7180, 8200, 9230, 10250, 11270, 12300, 13320, 14340,
    15370,
];

const WRITE: Access = Access {
    asking: false,
    readonly_client: false,
    write: true,
    sharded_pubsub: false,
    multiple_keys: false,
    migrate: false,
};

/// True when a client that asks this host is served.
pub fn accepts(world: &World, host: HostId, slot: u16) -> bool {
    let place = &world.hosts[host];
    if !place.runs(world.now) || place.paused_until > world.now {
        return false;
    }
    let Some(routing) = place.routing.as_ref() else { return false };
    routing.route(Slot(slot), WRITE, || Presence::All) == Route::Here
}

/// Checks S3 on the sample slots.
///
/// # Errors
/// Two owners for longer than the bound.
pub fn check_owners(world: &mut World) -> Result<(), String> {
    // A cut-off primary notices after one node timeout, a stopped one when it hears of the
    // election; twice the timeout and a second leaves room for neither to be forgotten.
    let bound_ms = 2 * world.config.node_timeout_ms + 1000;
    for slot in SAMPLES {
        let hosts: Vec<HostId> =
            (0..world.hosts.len()).filter(|host| accepts(world, *host, slot)).collect();
        world.checks.acceptors(world.now, slot, &hosts, bound_ms)?;
    }
    Ok(())
}

/// One round: clients write, replicas follow, nodes hear of it.
///
/// # Errors
/// An invariant that broke meanwhile.
pub fn flow(world: &mut World) -> Result<(), String> {
    for host in 0..world.hosts.len() {
        let taken = SAMPLES.iter().filter(|slot| accepts(world, host, **slot)).count() as u64;
        world.coverage.accepted_writes += taken;
        let place = &mut world.hosts[host];
        if taken > 0 {
            place.offset += taken * 100;
            place.keys = place.keys.max(1);
            place.has_data_mark = true;
        }
    }
    for host in 0..world.hosts.len() {
        if let RoleChange::ReplicaOf { id, .. } = world.hosts[host].role {
            follow(world, host, id);
        }
    }
    for host in 0..world.hosts.len() {
        if !world.hosts[host].runs(world.now) {
            continue;
        }
        let facts = facts(world, host);
        let life = world.hosts[host].life;
        world.give(host, life, Event::Replication(facts))?;
    }
    Ok(())
}

fn follow(world: &mut World, host: HostId, primary: NodeId) {
    let now = world.now;
    let source = world.hosts.iter().position(|other| other.id == primary);
    let reachable = source.filter(|source| {
        let place = &world.hosts[*source];
        let lame = place.routing.as_ref().is_some_and(|routing| routing.lame);
        place.runs(now) && !lame && world.network.reaches(host, *source)
    });
    if !world.hosts[host].runs(now) {
        return;
    }
    let Some(source) = reachable else {
        world.hosts[host].link_up = false;
        world.hosts[host].sync_ends = None;
        return;
    };
    let (offset, keys) = (world.hosts[source].offset, world.hosts[source].keys);
    let sync_ms = world.dice.between(50, 400);
    let place = &mut world.hosts[host];
    place.last_contact = Some(now);
    if place.copy_of != Some(primary) || place.offset > offset {
        match place.sync_ends {
            Some((of, ends)) if of == primary && ends <= now => {
                place.copy_of = Some(primary);
                place.sync_ends = None;
            }
            Some((of, _)) if of == primary => {}
            _ => place.sync_ends = Some((primary, now + sync_ms)),
        }
        if place.copy_of != Some(primary) {
            place.link_up = false;
            return;
        }
    }
    place.offset = offset;
    place.keys = keys;
    place.has_data_mark |= keys > 0;
    place.link_up = true;
}

fn facts(world: &World, host: HostId) -> ReplicationFacts {
    let place = &world.hosts[host];
    let synced = |other: &&crate::host::Host| {
        let follows = matches!(other.role, RoleChange::ReplicaOf { id, .. } if id == place.id);
        follows && other.link_up && other.runs(world.now)
    };
    ReplicationFacts {
        offset: place.offset,
        link_up: place.link_up,
        last_contact: place.last_contact.map(Millis),
        has_copy: place.copy_of.is_some(),
        synced_replicas: world
            .hosts
            .iter()
            .filter(synced)
            .map(|other| (other.id, other.offset))
            .collect(),
    }
}
