//! What goes wrong, and when.
//!
//! A life draws which classes of faults are on at all (a swarm: a life with crashes alone finds
//! other things than one with everything), then a plan of at least three faults over the safety
//! phase. Not known here: what the nodes make of it.

use crate::dice::Dice;
use crate::network::HostId;
use crate::world::{Due, World};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One process dies and starts again later.
    Crash,
    /// Two processes die at once.
    CrashTwo,
    /// A process dies and starts at another address.
    Move,
    /// A process is stopped for a while and goes on as if nothing had been.
    Stop,
    /// Two groups cannot reach each other.
    Partition,
    /// One host is alone.
    Isolate,
    /// Frames pass one way only.
    OneWay,
    /// Connections break.
    BreakLinks,
    /// The next vote of a host is the last thing it does before it dies.
    CrashAfterVote,
    /// A disk takes no writes for a while.
    DiskFails,
    /// Frames take long.
    Slow,
}

const KINDS: [Kind; 11] = [
    Kind::Crash,
    Kind::CrashTwo,
    Kind::Move,
    Kind::Stop,
    Kind::Partition,
    Kind::Isolate,
    Kind::OneWay,
    Kind::BreakLinks,
    Kind::CrashAfterVote,
    Kind::DiskFails,
    Kind::Slow,
];

/// A fault of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// How long it lasts, milliseconds.
    pub lasts_ms: u64,
}

/// The plan of a safety phase: moments (milliseconds from now) and faults.
pub fn plan(dice: &mut Dice, phase_ms: u64, node_timeout_ms: u64) -> Vec<(u64, Fault)> {
    let mut on: Vec<Kind> = KINDS.iter().copied().filter(|_| dice.percent(45)).collect();
    if on.is_empty() {
        on.push(Kind::CrashTwo);
    }
    let count = dice.between(3, 12);
    let mut plan = Vec::new();
    for _ in 0..count {
        let Some(kind) = dice.one_of(&on).copied() else { continue };
        let lasts_ms = dice.between(50, 4 * node_timeout_ms);
        plan.push((dice.between(0, phase_ms), Fault { kind, lasts_ms }));
    }
    plan
}

impl Fault {
    /// Makes it happen.
    ///
    /// # Errors
    /// An invariant that broke in the course of it.
    pub fn strike(self, world: &mut World) -> Result<(), String> {
        let hosts = world.hosts.len();
        let victim = world.dice.index(hosts);
        if world.verbose {
            println!("{:>8} FAULT {self:?} host {victim}", world.now - crate::world::START_MS);
        }
        match self.kind {
            Kind::Crash => {
                world.coverage.fault("crash");
                self.kill(world, victim);
            }
            Kind::CrashTwo => {
                world.coverage.fault("crash of two");
                self.kill(world, victim);
                self.kill(world, (victim + 1) % hosts);
            }
            Kind::Move => {
                world.coverage.fault("new address");
                self.kill(world, victim);
                world.move_host(victim);
            }
            Kind::Stop => {
                world.coverage.fault("stopped process");
                world.hosts[victim].stopped_until = world.now + self.lasts_ms;
                let life = world.hosts[victim].life;
                world.after(self.lasts_ms, Due::Wake(victim, life));
            }
            Kind::Partition => self.partition(world),
            Kind::Isolate => {
                world.coverage.fault("isolated host");
                for other in (0..hosts).filter(|other| *other != victim) {
                    world.network.cut(victim, other);
                    world.network.cut(other, victim);
                }
                world.after(self.lasts_ms, Due::Heal);
            }
            Kind::OneWay => {
                world.coverage.fault("one-way cut");
                for other in (0..hosts).filter(|other| *other != victim) {
                    if world.dice.percent(70) {
                        world.network.cut(victim, other);
                    }
                }
                world.after(self.lasts_ms, Due::Heal);
            }
            Kind::BreakLinks => {
                world.coverage.fault("broken links");
                for conn in world.network.all() {
                    if world.dice.percent(30) {
                        world.break_conn(conn);
                    }
                }
            }
            Kind::CrashAfterVote => {
                world.coverage.fault("armed to crash after a vote");
                world.hosts[victim].crash_after_vote = true;
                // Without an election there is no vote: another one dies now.
                self.kill(world, (victim + 1) % hosts);
            }
            Kind::DiskFails => {
                world.coverage.fault("failing disk");
                world.hosts[victim].disk_fails_until = world.now + self.lasts_ms;
            }
            Kind::Slow => {
                world.coverage.fault("slow network");
                world.latency_ms_max = world.dice.between(20, world.config.node_timeout_ms / 4);
            }
        }
        Ok(())
    }

    fn kill(self, world: &mut World, victim: HostId) {
        let keeps_data = world.dice.percent(60);
        world.crash(victim, keeps_data);
        world.after(self.lasts_ms, Due::Start(victim));
    }

    fn partition(self, world: &mut World) {
        world.coverage.fault("partition");
        let hosts = world.hosts.len();
        let sides: Vec<bool> = (0..hosts).map(|_| world.dice.percent(50)).collect();
        for from in 0..hosts {
            for to in 0..hosts {
                if sides.get(from) != sides.get(to) {
                    world.network.cut(from, to);
                }
            }
        }
        world.after(self.lasts_ms, Due::Heal);
    }
}
