//! A handful of nodes in one thread: links, disks and replication as simple as they can be.
//!
//! For promises of this crate alone; tests/sim is the real simulator. Messages take one
//! millisecond, a disk takes `disk_ms`, replication copies the primary's offset every 10 ms.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use holdfast_wire::bus::{Packet, decode};
use holdfast_wire::id::{BootId, ClusterId, NodeId};
use holdfast_wire::slot::{Slot, SlotSet};

use crate::{
    Answer, ClusterCommand, CommandFacts, Config, Event, HandOver, LinkId, Millis, Node, Pause,
    Ready, ReplicationFacts, Reply, RoleChange, Ticket, Token,
};

pub(crate) struct Host {
    pub(crate) ip: IpAddr,
    pub(crate) config: Config,
    pub(crate) node: Option<Node>,
    pub(crate) disk: Option<String>,
    pub(crate) offset: u64,
    pub(crate) has_copy: bool,
    pub(crate) paused: bool,
    pub(crate) disk_ms: u64,
    pub(crate) disk_broken: bool,
    pub(crate) role: Option<RoleChange>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) hand_over: Option<HandOver>,
    pub(crate) dropped: SlotSet,
    durable: Ticket,
    waiting: Vec<(Ticket, LinkId, Vec<u8>)>,
    waiting_answers: Vec<Answer>,
    ends: BTreeMap<LinkId, (usize, LinkId)>,
    wake_at: Millis,
    life: u64,
}

pub(crate) struct Net {
    pub(crate) now: Millis,
    pub(crate) hosts: Vec<Host>,
    /// Pairs that do not hear each other.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Frames on their way, for tests that look at them.
    pub(crate) sent: Vec<(Millis, usize, Packet)>,
    queue: BTreeMap<(Millis, u64), (usize, u64, Event)>,
    saves: BTreeMap<(Millis, u64), (usize, u64, Ticket, String)>,
    sequence: u64,
    inbound: u64,
}

pub(crate) fn ip(at: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, at as u8 + 1).into()
}

impl Net {
    pub(crate) fn new(count: usize) -> Self {
        let mut net = Self {
            now: Millis(1_700_000_000_000),
            hosts: Vec::new(),
            cut: BTreeSet::new(),
            sent: Vec::new(),
            queue: BTreeMap::new(),
            saves: BTreeMap::new(),
            sequence: 0,
            inbound: 0,
        };
        for at in 0..count {
            let config = Config { cluster_id: Some(ClusterId([7; 20])), ..Config::default() };
            net.hosts.push(Host {
                ip: ip(at),
                config,
                node: None,
                disk: None,
                offset: 0,
                has_copy: false,
                paused: false,
                disk_ms: 1,
                disk_broken: false,
                role: None,
                answers: Vec::new(),
                hand_over: None,
                dropped: SlotSet::new(),
                durable: Ticket(0),
                waiting: Vec::new(),
                waiting_answers: Vec::new(),
                ends: BTreeMap::new(),
                wake_at: Millis(0),
                life: 0,
            });
        }
        net
    }

    /// Starts a host from what is on its disk.
    pub(crate) fn start(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.life += 1;
        host.config.boot_id = BootId([host.life as u8; 16]);
        let mut seed = [at as u8 + 1; 32];
        seed[0] = host.life as u8;
        let node = Node::new(host.config.clone(), host.disk.as_deref(), seed).unwrap();
        host.node = Some(node);
        host.durable = Ticket(0);
        host.paused = false;
        self.feed(at, Event::Tick);
    }

    /// kill -9: links are reset, what was not durable is lost.
    pub(crate) fn kill(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.node = None;
        host.life += 1;
        host.waiting.clear();
        host.waiting_answers.clear();
        let ends = std::mem::take(&mut host.ends);
        for (far, link) in ends.into_values() {
            self.hosts[far].ends.remove(&link);
            if !self.is_cut(at, far) {
                self.later(far, 1, Event::Closed { link, reset: true });
            }
        }
    }

    /// A cluster of primaries with even slots, each with `replicas` replicas, up and ok: first
    /// all primaries, then the first replica of each, and so on.
    pub(crate) fn cluster(primaries: usize, replicas: usize) -> Self {
        let mut net = Self::new(primaries * (replicas + 1));
        net.form(primaries);
        net
    }

    pub(crate) fn form(&mut self, primaries: usize) {
        let count = self.hosts.len();
        (0..count).for_each(|at| self.start(at));
        for at in 0..count {
            if at > 0 {
                self.ok(0, meet(at));
            }
            if at < primaries {
                self.ok(at, ClusterCommand::SetConfigEpoch(at as u64 + 1));
                self.ok(at, ClusterCommand::AddSlots(share(at, primaries)));
            }
        }
        self.run_until("all know all", |net| net.nodes().all(|node| node.peers.len() == count - 1));
        for at in primaries..count {
            let primary = self.id(at % primaries);
            self.ok(at, ClusterCommand::Replicate(primary));
        }
        self.run_until("ok everywhere", |net| {
            net.nodes().all(|node| node.health.ok && node.slots.is_complete())
                && net.nodes().all(|node| {
                    node.peers.values().filter(|peer| peer.is_replica).count()
                        + usize::from(!node.is_primary())
                        == count - primaries
                })
        });
        self.run(200);
    }

    pub(crate) fn node(&self, at: usize) -> &Node {
        self.hosts[at].node.as_ref().unwrap()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.hosts.iter().filter_map(|host| host.node.as_ref())
    }

    pub(crate) fn id(&self, at: usize) -> NodeId {
        self.node(at).id()
    }

    /// Runs a command; its answer must be OK or a text.
    pub(crate) fn ok(&mut self, at: usize, command: ClusterCommand) -> Reply {
        self.command(at, command, CommandFacts::default()).unwrap()
    }

    /// Runs a command and waits for its answer.
    pub(crate) fn command(
        &mut self,
        at: usize,
        command: ClusterCommand,
        facts: CommandFacts,
    ) -> Result<Reply, String> {
        self.hosts[at].answers.clear();
        self.feed(at, Event::Command { token: Token(1), command, facts });
        self.run_until("an answer", |net| !net.hosts[at].answers.is_empty());
        self.hosts[at].answers.remove(0).result
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while self.now < end {
            self.step();
        }
    }

    /// Runs until the promise holds; a minute at most. Tells how long it took.
    pub(crate) fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        while !holds(self) {
            assert!(self.now.since(start) < 60_000, "waited a minute for: {what}");
            self.step();
        }
        self.now.since(start)
    }

    pub(crate) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    fn later(&mut self, at: usize, ms: u64, event: Event) {
        self.sequence += 1;
        let life = self.hosts[at].life;
        self.queue.insert((self.now.plus(ms), self.sequence), (at, life, event));
    }

    /// One millisecond.
    fn step(&mut self) {
        self.now = self.now.plus(1);
        self.finish_saves();
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (at, life, event) = entry.remove();
            if self.hosts[at].life == life {
                self.feed(at, event);
            }
        }
        for at in 0..self.hosts.len() {
            if self.hosts[at].node.is_some() && self.hosts[at].wake_at <= self.now {
                self.feed(at, Event::Tick);
            }
        }
        if self.now.0.is_multiple_of(10) {
            (0..self.hosts.len()).for_each(|at| self.replicate(at));
        }
    }

    fn finish_saves(&mut self) {
        while let Some(entry) = self.saves.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (at, life, ticket, text) = entry.remove();
            if self.hosts[at].life != life {
                continue;
            }
            if self.hosts[at].disk_broken {
                self.feed(at, Event::PersistFailed { ticket });
                continue;
            }
            let host = &mut self.hosts[at];
            host.disk = Some(text);
            host.durable = ticket;
            let (go, stay) = std::mem::take(&mut host.waiting)
                .into_iter()
                .partition(|(after, _, _)| *after <= ticket);
            host.waiting = stay;
            let (answers, waiting) = std::mem::take(&mut host.waiting_answers)
                .into_iter()
                .partition(|answer: &Answer| answer.after <= Some(ticket));
            host.waiting_answers = waiting;
            host.answers.extend::<Vec<Answer>>(answers);
            let go: Vec<(Ticket, LinkId, Vec<u8>)> = go;
            for (_, link, frame) in go {
                self.transmit(at, link, frame);
            }
            self.feed(at, Event::Persisted { ticket });
        }
    }

    /// Replication as it would be: the offset follows the primary's.
    fn replicate(&mut self, at: usize) {
        if self.hosts[at].node.is_none() {
            return;
        }
        let id = self.id(at);
        let mut facts = ReplicationFacts::default();
        if let Some(RoleChange::ReplicaOf { id: primary, .. }) = self.hosts[at].role {
            let source = (0..self.hosts.len()).find(|other| {
                self.hosts[*other]
                    .node
                    .as_ref()
                    .is_some_and(|node| node.id() == primary && node.is_primary() && !node.lame)
                    && !self.is_cut(at, *other)
            });
            let before = &self.node(at).facts;
            facts.last_contact = before.last_contact;
            if let Some(source) = source {
                self.hosts[at].offset = self.hosts[source].offset;
                self.hosts[at].has_copy = true;
                facts.link_up = true;
                facts.last_contact = Some(self.now);
            }
        } else {
            let replicas = self.hosts.iter().filter(|host| {
                host.node.as_ref().is_some_and(|node| node.facts.link_up)
                    && matches!(host.role, Some(RoleChange::ReplicaOf { id: of, .. }) if of == id)
            });
            facts.synced_replicas =
                replicas.filter_map(|host| Some((host.node.as_ref()?.id(), host.offset))).collect();
        }
        facts.offset = self.hosts[at].offset;
        facts.has_copy = self.hosts[at].has_copy;
        self.feed(at, Event::Replication(facts));
    }

    pub(crate) fn feed(&mut self, at: usize, event: Event) {
        let now = self.now;
        let Some(node) = self.hosts[at].node.as_mut() else { return };
        let ready = node.handle(now, event);
        self.carry_out(at, ready);
    }

    fn carry_out(&mut self, at: usize, ready: Ready) {
        let now = self.now;
        let host = &mut self.hosts[at];
        host.wake_at = ready.wake_at;
        host.role = ready.role.or(host.role.take());
        host.hand_over = ready.hand_over.or(host.hand_over);
        if let Some(slots) = &ready.drop_slots {
            host.dropped = host.dropped.union(slots);
        }
        let durable = host.durable;
        for answer in ready.answers {
            if answer.after.is_some_and(|ticket| ticket > durable) {
                host.waiting_answers.push(answer);
            } else {
                host.answers.push(answer);
            }
        }
        if let Some(persist) = ready.persist {
            self.sequence += 1;
            let key = (now.plus(host.disk_ms), self.sequence);
            self.saves.insert(key, (at, host.life, persist.ticket, persist.text));
        }
        match ready.pause {
            Some(Pause::Writes { .. }) => {
                host.paused = true;
                let offset = host.offset;
                self.later(at, 2, Event::WritesPaused { offset });
            }
            Some(Pause::Resume) => host.paused = false,
            None => {}
        }
        for link in ready.close {
            if let Some((far, far_link)) = self.hosts[at].ends.remove(&link) {
                self.hosts[far].ends.remove(&far_link);
                self.later(far, 1, Event::Closed { link: far_link, reset: true });
            }
        }
        for connect in ready.connect {
            self.connect(at, connect.link, connect.address.ip());
        }
        for send in ready.send {
            match send.after {
                Some(ticket) if ticket > durable => {
                    self.hosts[at].waiting.push((ticket, send.link, send.frame.to_vec()));
                }
                _ => self.transmit(at, send.link, send.frame.to_vec()),
            }
        }
    }

    fn connect(&mut self, at: usize, link: LinkId, to: IpAddr) {
        let Some(far) = self.hosts.iter().position(|host| host.ip == to) else { return };
        if self.is_cut(at, far) {
            return;
        }
        if self.hosts[far].node.is_none() {
            self.later(at, 1, Event::ConnectFailed { link, refused: true });
            return;
        }
        self.inbound += 1;
        let far_link = LinkId::inbound(self.inbound);
        self.hosts[at].ends.insert(link, (far, far_link));
        self.hosts[far].ends.insert(far_link, (at, link));
        let (here, there) = (self.hosts[at].ip, self.hosts[far].ip);
        self.later(at, 1, Event::Connected { link, local_ip: here });
        self.later(far, 1, Event::Accepted { link: far_link, peer_ip: here, local_ip: there });
    }

    fn transmit(&mut self, at: usize, link: LinkId, frame: Vec<u8>) {
        self.sent.push((self.now, at, decode(&frame).unwrap()));
        let Some((far, far_link)) = self.hosts[at].ends.get(&link).copied() else { return };
        if !self.is_cut(at, far) {
            self.later(far, 1, Event::Packet { link: far_link, frame });
        }
    }

    /// Who owns a slot in the view of every live node; panics when they differ.
    pub(crate) fn owner_of(&self, slot: u16) -> NodeId {
        let mut owners = self.nodes().map(|node| node.owner(Slot(slot)));
        let first = owners.next().unwrap().unwrap();
        assert!(owners.all(|owner| owner == Some(first)), "views of slot {slot} differ");
        first
    }
}

pub(crate) fn meet(at: usize) -> ClusterCommand {
    ClusterCommand::Meet { ip: ip(at), port: 6379, bus_port: 16379 }
}

/// The `at`-th of `primaries` even shares.
pub(crate) fn share(at: usize, primaries: usize) -> SlotSet {
    let edge = |at: usize| (at * 16384 / primaries) as u16;
    SlotSet::from_ranges(&[(edge(at), edge(at + 1) - 1)])
}
