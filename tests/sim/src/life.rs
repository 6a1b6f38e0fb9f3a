//! One seed, one life: form a cluster, break it, let it heal, demand that it is whole.
//!
//! Not known here: how a single fault works, how an invariant is seen on the wire.

use std::fmt;

use holdfast_cluster::command::ClusterCommand;
use holdfast_cluster::config::Mutant;
use holdfast_cluster::{Config, Down, RoleChange, Route};
use holdfast_wire::id::{ClusterId, NodeId};
use holdfast_wire::slot::{SLOTS, Slot, SlotSet};

use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::faults;
use crate::network::HostId;
use crate::replication::SAMPLES;
use crate::world::{Due, START_MS, World};

/// The faults stop after so long, virtual milliseconds.
pub const SAFETY_PHASE_MS: u64 = 60_000;

/// C4's bound: within so many node timeouts after the last fault the cluster is whole.
pub const HEAL_TIMEOUTS_MAX: u64 = 20;

/// What broke, with the way to see it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The invariant and what was seen.
    pub what: String,
    /// Virtual milliseconds from the start.
    pub at_ms: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "seed {} after {} ms: {}\n  replay: cargo run --release -p holdfast-sim -- --seed {}",
            self.seed, self.at_ms, self.what, self.seed
        )
    }
}

/// The shape of a cluster.
struct Shape {
    primaries: usize,
    hosts: usize,
}

/// Lives the life of a seed.
///
/// # Errors
/// The first invariant that broke.
pub fn live(seed: u64, mutant: Option<Mutant>, verbose: bool) -> Result<Coverage, Failure> {
    let mut dice = Dice::new(seed);
    let primaries = dice.between(3, 5) as usize;
    let replicas = dice.between(1, 4.min(9 - primaries as u64)) as usize;
    // A life may also be without any replica: then nothing can fail over, and nothing may break.
    let replicas = if dice.percent(5) { 0 } else { replicas };
    let shape = Shape { primaries, hosts: primaries + replicas };
    let node_timeout_ms = *dice.one_of(&[1000, 2000, 5000]).unwrap_or(&2000);
    let config = Config {
        cluster_id: Some(ClusterId([7; 20])),
        node_timeout_ms,
        require_full_coverage: dice.percent(50),
        mutant,
        ..Config::default()
    };
    let mut world = World::new(dice, shape.hosts, config);
    world.verbose = verbose;
    let lived = whole_life(&mut world, &shape);
    world.coverage.virtual_ms = world.now - START_MS;
    world.coverage.overlap_ms_max = world.checks.overlap_ms_max;
    match lived {
        Ok(()) => Ok(world.coverage),
        Err(what) => Err(Failure { seed, what, at_ms: world.now - START_MS }),
    }
}

fn whole_life(world: &mut World, shape: &Shape) -> Result<(), String> {
    form(world, shape)?;
    let timeout = world.config.node_timeout_ms;
    let plan = faults::plan(&mut world.dice, SAFETY_PHASE_MS, timeout);
    for (at, fault) in plan {
        world.after(at, Due::Fault(fault));
    }
    world.run_until(world.now + SAFETY_PHASE_MS)?;
    stop_faults(world)?;
    let healed_from = world.now;
    let bound = HEAL_TIMEOUTS_MAX * timeout;
    loop {
        world.run_until(world.now + 100)?;
        let Err(not_whole) = whole(world) else { break };
        if world.now - healed_from > bound {
            return Err(format!("C4: not whole {bound} ms after the last fault: {not_whole}"));
        }
    }
    world.coverage.heal_ms_max = world.now - healed_from;
    // Whole once is not enough: it must stay so.
    world.run_until(world.now + 4 * timeout)?;
    whole(world).map_err(|not_whole| format!("L1: whole, but not for long: {not_whole}"))
}

/// Introduces the hosts to each other, gives out slots, makes replicas.
fn form(world: &mut World, shape: &Shape) -> Result<(), String> {
    for host in 0..shape.hosts {
        world.start(host)?;
    }
    for host in 0..shape.primaries {
        let first = host * usize::from(SLOTS) / shape.primaries;
        let last = (host + 1) * usize::from(SLOTS) / shape.primaries - 1;
        let slots = SlotSet::from_ranges(&[(first as u16, last as u16)]);
        world.command(host, ClusterCommand::SetConfigEpoch(host as u64 + 1))?;
        world.command(host, ClusterCommand::AddSlots(slots))?;
    }
    // Epochs are given out while everybody is alone, as redis-cli does it: later it is refused.
    for host in 1..shape.hosts {
        let (ip, port, bus_port) = (world.hosts[host].ip, 6379, 16379);
        world.command(0, ClusterCommand::Meet { ip, port, bus_port })?;
    }
    wait(world, "all hosts know each other", |world| {
        let knows_all =
            |host| world.routing(host).is_some_and(|map| map.nodes.len() == shape.hosts);
        (0..shape.hosts).all(knows_all)
    })?;
    for host in shape.primaries..shape.hosts {
        let primary = world.hosts[(host - shape.primaries) % shape.primaries].id;
        world.command(host, ClusterCommand::Replicate(primary))?;
    }
    wait(world, "a whole cluster", |world| {
        let in_sync = world.hosts.iter().all(|host| match host.role {
            RoleChange::ReplicaOf { .. } => host.link_up,
            RoleChange::Primary => true,
        });
        in_sync && whole(world).is_ok()
    })
}

fn wait(
    world: &mut World,
    what: &str,
    mut holds: impl FnMut(&World) -> bool,
) -> Result<(), String> {
    let until = world.now + 60_000;
    while !holds(world) {
        if world.now > until {
            return Err(format!("formation: no {what} within a minute"));
        }
        world.run_until(world.now + 50)?;
    }
    Ok(())
}

/// The end of the safety phase: everything that is still broken is mended.
fn stop_faults(world: &mut World) -> Result<(), String> {
    // What the plan still holds (a process to start, a way to open) belongs to the faults.
    let longest = 4 * world.config.node_timeout_ms;
    world.run_until(world.now + longest)?;
    world.heal();
    world.latency_ms_max = 3;
    for host in 0..world.hosts.len() {
        world.hosts[host].crash_after_vote = false;
        world.hosts[host].stopped_until = 0;
        world.hosts[host].disk_fails_until = 0;
        world.start(host)?;
    }
    Ok(())
}

/// C4: every slot that has a copy has exactly one owner, everybody names the same one, and it
/// serves. The error says what is amiss.
fn whole(world: &World) -> Result<(), String> {
    for slot in SAMPLES {
        let mut named = None;
        for host in 0..world.hosts.len() {
            let map = world.routing(host).ok_or_else(|| format!("host {host} does not run"))?;
            if !map.ok {
                return Err(format!("host {host} says that the cluster is down"));
            }
            let owner = map.owner(Slot(slot)).map(|node| node.id);
            let owner = owner.ok_or_else(|| format!("host {host} knows no owner of {slot}"))?;
            if *named.get_or_insert(owner) != owner {
                return Err(format!("slot {slot} has two owners, host {host} names {owner}"));
            }
        }
        let owner = named.ok_or("there are no hosts")?;
        served(world, slot, owner)?;
    }
    Ok(())
}

fn served(world: &World, slot: u16, owner: NodeId) -> Result<(), String> {
    let host: Option<HostId> = world.hosts.iter().position(|host| host.id == owner);
    let host = host.ok_or_else(|| format!("the owner of {slot} is nobody's id"))?;
    let map = world.routing(host).ok_or("the owner does not run")?;
    let access = holdfast_cluster::Access { write: true, ..Default::default() };
    match map.route(Slot(slot), access, || holdfast_cluster::Presence::All) {
        Route::Here => Ok(()),
        // Nobody has a copy: the data is lost, and a lame owner that says so is right.
        Route::Down(Down::Lame) if !copy_exists(world, owner) => Ok(()),
        other => Err(format!("host {host} owns slot {slot} but answers {other:?}")),
    }
}

fn copy_exists(world: &World, owner: NodeId) -> bool {
    world.hosts.iter().any(|host| {
        matches!(host.role, RoleChange::ReplicaOf { id, .. } if id == owner)
            && host.copy_of == Some(owner)
    })
}
