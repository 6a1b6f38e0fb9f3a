//! The world: hosts, the network between them, and the queue of what happens next.
//!
//! One thread, one queue, virtual milliseconds. The world carries out what nodes want
//! (`Ready`), as the real shell does, and looks at each frame and each text on the way. Not known
//! here: which faults are planned.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_cluster::command::{ClusterCommand, Reply};
use holdfast_cluster::{
    CommandFacts, Config, Event, LinkId, Millis, Node, Pause, Persist, Ready, Ticket, Token,
};
use holdfast_wire::id::BootId;

use crate::checks::Checks;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::faults::Fault;
use crate::host::{Held, Host, address};
use crate::network::{ConnId, End, HostId, Network};
use crate::replication;

/// Virtual time starts here, as an epoch of wall clocks would.
pub const START_MS: u64 = 1_700_000_000_000;

/// What can be due.
#[derive(Debug, Clone)]
pub enum Due {
    /// A node's wake-up.
    Wake(HostId, u32),
    /// The first frame in flight to this side of a connection arrives.
    Arrive(ConnId, usize),
    /// A wished connection stands or fails.
    Connect(HostId, u32, holdfast_cluster::Connect),
    /// The other side hears that a connection ended.
    Hangup(End),
    /// A text is durable, or it failed.
    Disk(HostId, u32, Persist),
    /// A name was looked up.
    Resolve(HostId, u32, holdfast_cluster::Resolve),
    /// Data flows, writes come.
    Replicate,
    /// A fault of the plan.
    Fault(Fault),
    /// A dead process starts again.
    Start(HostId),
    /// The network is whole again.
    Heal,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// Virtual time, milliseconds.
    pub now: u64,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// What is between them.
    pub network: Network,
    /// All chance.
    pub dice: Dice,
    /// What happened so far.
    pub coverage: Coverage,
    /// The invariants.
    pub checks: Checks,
    /// What every node is told.
    pub config: Config,
    /// Frames take up to so long.
    pub latency_ms_max: u64,
    /// Answers to commands that arrived, by token.
    pub answers: BTreeMap<u64, Result<Reply, String>>,
    /// Print every step.
    pub verbose: bool,
    queue: BTreeMap<(u64, u64), Due>,
    number: u64,
}

impl World {
    /// `hosts` hosts that never ran, at the start of time.
    pub fn new(dice: Dice, hosts: usize, config: Config) -> Self {
        let mut world = Self {
            now: START_MS,
            hosts: (0..hosts).map(Host::new).collect(),
            network: Network::default(),
            dice,
            coverage: Coverage::default(),
            checks: Checks::default(),
            config,
            latency_ms_max: 3,
            answers: BTreeMap::new(),
            verbose: false,
            queue: BTreeMap::new(),
            number: 0,
        };
        world.after(0, Due::Replicate);
        world
    }

    /// Puts something into the queue.
    pub fn after(&mut self, ms: u64, due: Due) {
        self.number += 1;
        self.queue.insert((self.now + ms, self.number), due);
    }

    /// Runs until this moment.
    ///
    /// # Errors
    /// The invariant that broke, as a sentence.
    pub fn run_until(&mut self, until: u64) -> Result<(), String> {
        while let Some(entry) = self.queue.first_entry() {
            let (at, _) = *entry.key();
            if at > until {
                break;
            }
            let due = entry.remove();
            self.now = at;
            self.coverage.steps += 1;
            self.happen(due)?;
        }
        self.now = until;
        Ok(())
    }

    fn happen(&mut self, due: Due) -> Result<(), String> {
        match due {
            Due::Wake(host, life) => {
                if self.hosts[host].life == life && self.hosts[host].wake_at <= self.now {
                    self.give(host, life, Event::Tick)?;
                }
            }
            Due::Arrive(conn, side) => self.arrive(conn, side)?,
            Due::Connect(host, life, wish) => self.connect(host, life, wish)?,
            Due::Hangup(end) => {
                if self.hosts[end.host].links.remove(&end.link).is_some() {
                    let event = Event::Closed { link: end.link, reset: true };
                    self.give(end.host, end.life, event)?;
                }
            }
            Due::Disk(host, life, persist) => self.disk(host, life, persist)?,
            Due::Resolve(host, life, wish) => {
                let found = self.hosts.iter().find(|other| other.id == wish.node);
                let ip = found.filter(|other| other.node.is_some()).map(|other| other.ip);
                self.give(host, life, Event::Resolved { node: wish.node, ip })?;
            }
            Due::Replicate => {
                replication::flow(self)?;
                self.after(50, Due::Replicate);
            }
            Due::Fault(fault) => fault.strike(self)?,
            Due::Start(host) => self.start(host)?,
            Due::Heal => self.heal(),
        }
        Ok(())
    }

    /// Hands an event to a node of this life; a stopped process gets it when it goes on.
    pub fn give(&mut self, host: HostId, life: u32, event: Event) -> Result<(), String> {
        let now = Millis(self.now);
        let place = &mut self.hosts[host];
        if place.life != life {
            return Ok(());
        }
        let Some(node) = place.node.as_mut() else { return Ok(()) };
        if self.verbose && !matches!(event, Event::Tick | Event::Replication(_)) {
            println!("{:>8} host {host} {}", self.now - START_MS, shorten(&event));
        }
        let ready = node.handle(now, event);
        self.carry_out(host, ready)
    }

    fn carry_out(&mut self, host: HostId, ready: Ready) -> Result<(), String> {
        let life = self.hosts[host].life;
        for line in &ready.log {
            if self.verbose {
                println!("{:>8} host {host} says: {}", self.now - START_MS, line.text);
            }
        }
        if let Some(persist) = ready.persist {
            let ms = self.dice.between(1, 20);
            self.after(ms, Due::Disk(host, life, persist));
        }
        for wish in ready.connect {
            let ms = self.dice.between(1, self.latency_ms_max);
            self.after(ms, Due::Connect(host, life, wish));
        }
        let durable = self.hosts[host].durable_ticket;
        for send in ready.send {
            match send.after.filter(|after| *after > durable) {
                Some(after) => {
                    let held = Held { after, link: send.link, frame: send.frame.to_vec() };
                    self.hosts[host].held.push(held);
                }
                None => self.send(host, send.link, send.frame.to_vec())?,
            }
        }
        for link in ready.close {
            self.hang_up(host, link);
        }
        for wish in ready.resolve {
            let ms = self.dice.between(2, 300);
            self.after(ms, Due::Resolve(host, life, wish));
        }
        for answer in ready.answers {
            self.answers.insert(answer.token.0, answer.result);
        }
        let place = &mut self.hosts[host];
        if place.node.is_none() {
            return Ok(());
        }
        if let Some(routing) = ready.routing {
            place.routing = Some(routing);
        }
        if let Some(watch) = ready.watch_offset {
            place.watch_offset = Some(watch);
        }
        if let Some(role) = ready.role {
            self.change_role(host, role);
        }
        if ready.flush_all {
            self.hosts[host].keys = 0;
        }
        self.hosts[host].wake_at = ready.wake_at.0;
        let wait = ready.wake_at.0.saturating_sub(self.now);
        self.after(wait.max(1), Due::Wake(host, life));
        if let Some(pause) = ready.pause {
            self.pause(host, life, pause)?;
        }
        replication::check_owners(self)
    }

    fn change_role(&mut self, host: HostId, role: holdfast_cluster::RoleChange) {
        use holdfast_cluster::RoleChange::{Primary, ReplicaOf};
        let place = &mut self.hosts[host];
        if matches!((&place.role, &role), (ReplicaOf { .. }, Primary)) {
            self.coverage.failovers += 1;
        }
        if let (ReplicaOf { id: old, .. }, ReplicaOf { id: new, .. }) = (&place.role, &role)
            && old != new
        {
            place.sync_ends = None;
            place.link_up = false;
        }
        place.role = role;
    }

    fn pause(&mut self, host: HostId, life: u32, pause: Pause) -> Result<(), String> {
        match pause {
            Pause::Writes { until } => {
                self.hosts[host].paused_until = until.0;
                let offset = self.hosts[host].offset;
                self.give(host, life, Event::WritesPaused { offset })
            }
            Pause::Resume => {
                self.hosts[host].paused_until = 0;
                Ok(())
            }
        }
    }

    fn disk(&mut self, host: HostId, life: u32, persist: Persist) -> Result<(), String> {
        if self.hosts[host].life != life || self.hosts[host].node.is_none() {
            return Ok(());
        }
        if self.hosts[host].disk_fails_until > self.now {
            let ticket = persist.ticket;
            return self.give(host, life, Event::PersistFailed { ticket });
        }
        let place = &mut self.hosts[host];
        if persist.ticket < place.durable_ticket {
            return Ok(());
        }
        self.checks.persisted(host, &persist.text)?;
        place.durable = Some(persist.text);
        place.durable_ticket = persist.ticket;
        self.release(host, persist.ticket)?;
        self.give(host, life, Event::Persisted { ticket: persist.ticket })
    }

    fn release(&mut self, host: HostId, durable: Ticket) -> Result<(), String> {
        let held = std::mem::take(&mut self.hosts[host].held);
        let (due, wait): (Vec<Held>, Vec<Held>) =
            held.into_iter().partition(|held| held.after <= durable);
        self.hosts[host].held = wait;
        for held in due {
            self.send(host, held.link, held.frame)?;
        }
        Ok(())
    }

    fn send(&mut self, host: HostId, link: LinkId, frame: Vec<u8>) -> Result<(), String> {
        let Some(conn_id) = self.hosts[host].links.get(&link).copied() else { return Ok(()) };
        let Some(conn) = self.network.get(conn_id) else { return Ok(()) };
        let side = usize::from(conn.ends[0].host == host && conn.ends[0].link == link);
        let to = conn.ends[side].host;
        let durable = self.hosts[host].durable.as_deref();
        let seen = self.checks.frame(host, to, &frame, durable)?;
        let arrives = self.now + self.dice.between(1, self.latency_ms_max);
        if let Some(conn) = self.network.get_mut(conn_id) {
            let last = conn.in_flight[side].last().map_or(0, |(at, _)| *at);
            let arrives = arrives.max(last);
            conn.in_flight[side].push((arrives, frame));
            self.after(arrives - self.now, Due::Arrive(conn_id, side));
        }
        if seen.is_some_and(|seen| seen.is_vote()) {
            self.coverage.votes += 1;
            if std::mem::take(&mut self.hosts[host].crash_after_vote) {
                let keeps_data = self.dice.percent(50);
                self.coverage.fault("crash after a vote");
                self.crash(host, keeps_data);
                let ms = self.dice.between(5, 200);
                self.after(ms, Due::Start(host));
            }
        }
        Ok(())
    }

    fn arrive(&mut self, conn_id: ConnId, side: usize) -> Result<(), String> {
        let Some(conn) = self.network.get_mut(conn_id) else { return Ok(()) };
        let (from, end) = (conn.ends[1 - side].host, conn.ends[side]);
        let stopped = self.hosts[end.host].stopped_until;
        if stopped > self.now {
            self.after(stopped - self.now, Due::Arrive(conn_id, side));
            return Ok(());
        }
        if !self.network.passes(from, end.host) {
            return Ok(());
        }
        let Some(conn) = self.network.get_mut(conn_id) else { return Ok(()) };
        let now = self.now;
        if conn.in_flight[side].first().is_none_or(|(at, _)| *at > now) {
            return Ok(());
        }
        let (_, frame) = conn.in_flight[side].remove(0);
        self.coverage.frames += 1;
        self.give(end.host, end.life, Event::Packet { link: end.link, frame })
    }

    fn connect(
        &mut self,
        host: HostId,
        life: u32,
        wish: holdfast_cluster::Connect,
    ) -> Result<(), String> {
        if self.hosts[host].life != life {
            return Ok(());
        }
        let ip = wish.address.ip();
        let Some(target) = self.hosts.iter().position(|other| other.ip == ip) else {
            return self.give(host, life, Event::ConnectFailed { link: wish.link, refused: false });
        };
        if !self.network.reaches(host, target) {
            return self.give(host, life, Event::ConnectFailed { link: wish.link, refused: false });
        }
        if self.hosts[target].node.is_none() {
            return self.give(host, life, Event::ConnectFailed { link: wish.link, refused: true });
        }
        self.hosts[target].accepted += 1;
        let accepted = LinkId::inbound(self.hosts[target].accepted);
        let from = End { host, life, link: wish.link };
        let to = End { host: target, life: self.hosts[target].life, link: accepted };
        let conn = self.network.open(from, to);
        self.hosts[host].links.insert(wish.link, conn);
        self.hosts[target].links.insert(accepted, conn);
        let (peer_ip, local_ip) = (self.hosts[host].ip, self.hosts[target].ip);
        self.give(target, to.life, Event::Accepted { link: accepted, peer_ip, local_ip })?;
        self.give(host, life, Event::Connected { link: wish.link, local_ip: peer_ip })
    }

    fn hang_up(&mut self, host: HostId, link: LinkId) {
        let Some(conn_id) = self.hosts[host].links.remove(&link) else { return };
        let Some(conn) = self.network.close(conn_id) else { return };
        for end in conn.ends {
            if (end.host, end.link) != (host, link) {
                self.after(1, Due::Hangup(end));
            }
        }
    }

    /// Breaks a connection from outside: both sides hear of it.
    pub fn break_conn(&mut self, conn_id: ConnId) {
        let Some(conn) = self.network.close(conn_id) else { return };
        for end in conn.ends {
            self.after(1, Due::Hangup(end));
        }
    }

    /// Kills a process; its peers' connections are reset.
    pub fn crash(&mut self, host: HostId, keeps_data: bool) {
        if self.hosts[host].node.is_none() {
            return;
        }
        for conn in self.network.of_host(host) {
            self.break_conn(conn);
        }
        self.hosts[host].crash(keeps_data);
    }

    /// Starts a dead process from its disk.
    pub fn start(&mut self, host: HostId) -> Result<(), String> {
        if self.hosts[host].node.is_some() {
            return Ok(());
        }
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.dice.any().to_le_bytes());
        }
        let mut boot_id = BootId::default();
        boot_id.0.copy_from_slice(&seed[..16]);
        let hostname = format!("host-{host}.example");
        let config = Config { boot_id, hostname, ..self.config.clone() };
        let durable = self.hosts[host].durable.clone();
        let node = Node::new(config, durable.as_deref(), seed)
            .map_err(|error| format!("host {host} does not start: {error}"))?;
        let place = &mut self.hosts[host];
        place.life += 1;
        place.id = node.id();
        place.node = Some(node);
        let (has_data_mark, keys, life) = (place.has_data_mark, place.keys, place.life);
        self.give(host, life, Event::Tick)?;
        self.give(host, life, Event::Booted { has_data_mark, keys })
    }

    /// Gives a dead host another address.
    pub fn move_host(&mut self, host: HostId) {
        let moves = self.dice.between(1, 200) as u8;
        self.hosts[host].ip = address(host, moves);
    }

    /// All ways open again; what was held back goes on.
    pub fn heal(&mut self) {
        self.network.heal();
        for conn in self.network.all() {
            for side in 0..2 {
                let waiting = self.network.get(conn).map_or(0, |conn| conn.in_flight[side].len());
                for _ in 0..waiting {
                    self.after(1, Due::Arrive(conn, side));
                }
            }
        }
    }

    /// Says a command to a node and gives its answer, if it comes at once or within 100 ms.
    ///
    /// # Errors
    /// The answer is an error, or none came.
    pub fn command(&mut self, host: HostId, command: ClusterCommand) -> Result<Reply, String> {
        self.number += 1;
        let token = Token(self.number);
        let facts = CommandFacts { keys: self.hosts[host].keys, ..CommandFacts::default() };
        let life = self.hosts[host].life;
        let text = format!("{command:?}");
        self.give(host, life, Event::Command { token, command, facts })?;
        self.run_until(self.now + 100)?;
        let answer = self.answers.remove(&token.0);
        let answer = answer.ok_or_else(|| format!("no answer of host {host} to {text}"))?;
        answer.map_err(|error| format!("host {host} refused {text}: {error}"))
    }

    /// The routing of a host, while it runs.
    pub fn routing(&self, host: HostId) -> Option<Arc<holdfast_cluster::SlotMap>> {
        let place = &self.hosts[host];
        place.node.as_ref()?;
        place.routing.clone()
    }
}

fn shorten(event: &Event) -> String {
    let Event::Packet { link, frame } = event else { return format!("{event:?}") };
    match crate::checks::see(frame) {
        Some(seen) => format!(
            "Packet {link:?} type {} from {} epochs {}/{} {}",
            seen.kind,
            seen.sender.get(..8).unwrap_or_default().escape_ascii(),
            seen.current_epoch,
            seen.config_epoch,
            if seen.claims_slots { "claims" } else { "" }
        ),
        None => format!("Packet {link:?} of {} bytes", frame.len()),
    }
}
