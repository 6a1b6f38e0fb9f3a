//! The node: the value that takes events and gives [`Ready`].
//!
//! One event is one turn: the event's own rules run first, then what follows from the new state
//! (cluster state, elections, hand-over), then the wishes to the shell are drawn up.
//!
//!   event -> dispatch -> follow_up -> seal (persist, routing, role, wake_at) -> Ready
//!
//! **The gate.** A new configuration epoch or a claim on slots may not be told to anybody before
//! it is on disk, yet heartbeats never wait. So a claim changes the node's own view at once, but
//! until its ticket is durable every packet still says what was true before (`Told`), and routing
//! and role are held back. A crash in between forgets a claim that nobody heard of.
//!
//! Not known here: anything about the world but what events tell.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use holdfast_wire::id::{NodeId, ShardId};
use holdfast_wire::slot::{Slot, SlotSet};

use crate::config::Config;
use crate::counters::Counters;
use crate::election::{Election, LastVote};
use crate::event::{Event, LinkId, Millis, ReplicationFacts, Ticket};
use crate::health::Health;
use crate::manual_failover::{Leaving, ManualFailover};
use crate::nodes_conf::{self, Saved};
use crate::ownership::Ownership;
use crate::peer::{Handshake, Link, Peer};
use crate::ready::{LogLevel, LogLine, Persist, Ready, RoleChange};
use crate::rng::Rng;
use crate::route::SlotMap;

/// How often periodic work runs.
pub(crate) const CRON_MS: u64 = 100;

/// One member of a cluster.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) id: NodeId,
    pub(crate) shard: ShardId,
    pub(crate) rng: Rng,
    pub(crate) now: Millis,
    pub(crate) started: Option<Millis>,
    pub(crate) next_cron: Millis,
    pub(crate) cron_runs: u64,
    pub(crate) out: Ready,

    /// Our own address, when told or learned from a connection.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    pub(crate) handshakes: BTreeMap<SocketAddr, Handshake>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) links_opened: u64,
    /// Ids that must not come back by gossip, and until when.
    pub(crate) forgotten: BTreeMap<NodeId, Millis>,

    pub(crate) slots: Ownership,
    pub(crate) migrating: BTreeMap<Slot, NodeId>,
    pub(crate) importing: BTreeMap<Slot, NodeId>,
    pub(crate) primary: Option<NodeId>,
    pub(crate) current_epoch: u64,
    pub(crate) config_epoch: u64,
    pub(crate) last_vote_epoch: u64,
    pub(crate) last_vote: Option<LastVote>,
    pub(crate) migrate_to: bool,

    pub(crate) facts: ReplicationFacts,
    pub(crate) lame: bool,
    /// Slots were on record at the start, so clients may hold an older view than ours.
    pub(crate) had_slots_at_start: bool,
    pub(crate) health: Health,
    pub(crate) election: Election,
    pub(crate) manual: ManualFailover,
    pub(crate) leaving: Option<Leaving>,
    pub(crate) counters: Counters,

    pub(crate) save: bool,
    pub(crate) reroute: bool,
    saved_text: String,
    pub(crate) ticket: Ticket,
    pub(crate) durable: Ticket,
    pub(crate) disk_failed: Option<Millis>,
    pub(crate) told: Option<Told>,
    routing: Arc<SlotMap>,
    role: Option<RoleChange>,
}

/// What packets say of us while a claim is not durable.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) primary: Option<NodeId>,
    pub(crate) config_epoch: u64,
    pub(crate) slots: SlotSet,
    /// The claim's ticket, once it has one.
    pub(crate) until: Option<Ticket>,
}

impl Node {
    /// A node with the identity and the view of a saved nodes.conf, or a new one without. The
    /// seed feeds all randomness, a new node's id included: take it from the OS.
    ///
    /// # Errors
    /// The text is not a nodes.conf; the error names the line.
    pub fn new(
        config: Config,
        nodes_conf: Option<&str>,
        seed: [u8; 32],
    ) -> Result<Self, nodes_conf::Error> {
        let mut rng = Rng::new(seed);
        let saved = match nodes_conf {
            Some(text) if !text.trim().is_empty() => nodes_conf::read(text)?,
            _ => Saved {
                id: NodeId(rng.bytes()),
                shard: Some(ShardId(rng.bytes())),
                ..Saved::default()
            },
        };
        let shard = saved.shard.unwrap_or_else(|| ShardId(rng.bytes()));
        let had_slots = saved.slots.has_slots(saved.id);
        Ok(Self {
            ip: config.announce_ip,
            config,
            id: saved.id,
            shard,
            rng,
            now: Millis::default(),
            started: None,
            next_cron: Millis::default(),
            cron_runs: 0,
            out: Ready::default(),
            peers: saved.peers,
            handshakes: BTreeMap::new(),
            links: BTreeMap::new(),
            links_opened: 0,
            forgotten: BTreeMap::new(),
            slots: saved.slots,
            migrating: saved.migrating,
            importing: saved.importing,
            primary: saved.primary,
            current_epoch: saved.current_epoch,
            config_epoch: saved.config_epoch,
            last_vote_epoch: saved.last_vote_epoch,
            last_vote: None,
            migrate_to: false,
            facts: ReplicationFacts::default(),
            lame: false,
            had_slots_at_start: had_slots,
            health: Health::default(),
            election: Election::default(),
            manual: ManualFailover::default(),
            leaving: None,
            counters: Counters::default(),
            save: true,
            reroute: true,
            saved_text: String::new(),
            ticket: Ticket(0),
            durable: Ticket(0),
            disk_failed: None,
            told: None,
            routing: Arc::new(SlotMap::empty(saved.id)),
            role: None,
        })
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The routing that was published last.
    pub fn routing(&self) -> &Arc<SlotMap> {
        &self.routing
    }

    /// The epoch of the last vote, as it stands in memory.
    pub fn last_vote_epoch(&self) -> u64 {
        self.last_vote_epoch
    }

    /// The highest epoch that it saw.
    pub fn current_epoch(&self) -> u64 {
        self.current_epoch
    }

    /// Takes an event and tells what follows from it.
    pub fn handle(&mut self, now: Millis, event: Event) -> Ready {
        self.now = self.now.max(now);
        if self.started.is_none() {
            self.started = Some(self.now);
            self.start_clocks();
        }
        self.dispatch(event);
        if self.now >= self.next_cron {
            self.next_cron = self.now.plus(CRON_MS);
            self.cron_runs += 1;
            self.cron();
        }
        self.follow_up();
        self.seal()
    }

    /// Moments that a file cannot tell: nobody is late because we were not running.
    fn start_clocks(&mut self) {
        for peer in self.peers.values_mut() {
            peer.pong_received = self.now;
            peer.heard = self.now;
            if peer.fail_since.is_some() {
                peer.fail_since = Some(self.now);
            }
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Accepted { link, peer_ip, local_ip } => self.accepted(link, peer_ip, local_ip),
            Event::Connected { link, local_ip } => self.connected(link, local_ip),
            Event::ConnectFailed { link, refused } => self.connect_failed(link, refused),
            Event::Closed { link, reset } => self.closed(link, reset),
            Event::Packet { link, frame } => self.packet(link, &frame),
            Event::Resolved { node, ip } => self.resolved(node, ip),
            Event::Persisted { ticket } => self.persisted(ticket),
            Event::PersistFailed { ticket } => self.persist_failed(ticket),
            Event::Booted { has_data_mark, keys } => self.booted(has_data_mark, keys),
            Event::Replication(facts) => self.facts = facts,
            Event::WritesPaused { offset } => self.writes_paused(offset),
            Event::Dead { token, node, boot_id, config_epoch } => {
                self.reported_dead(token, node, boot_id, config_epoch);
            }
            Event::Command { token, command, facts } => self.command(token, command, facts),
            Event::Publish { channel, message, sharded } => {
                self.publish(channel, message, sharded);
            }
            Event::Leave { deadline_ms } => self.leave(deadline_ms),
            Event::Reconfigured(config) => self.reconfigure(*config),
        }
    }

    fn cron(&mut self) {
        self.connect_members();
        self.expire_handshakes();
        self.send_periodic_pings();
        self.suspect_the_silent();
        self.migrate_replica();
        self.forgotten.retain(|_, until| *until > self.now);
        if self.disk_failed.is_some_and(|since| self.now.since(since) >= 1000) {
            self.disk_failed = Some(self.now);
            self.save = true;
            self.saved_text.clear();
        }
    }

    /// What follows from the state, whatever event brought it about.
    fn follow_up(&mut self) {
        self.follow_successor();
        if self.lame && !(self.is_primary() && self.slots.has_slots(self.id)) {
            // There is nothing left to be lame about: an operator took the slots away.
            self.lame = false;
            self.reroute = true;
        }
        self.step_manual_failover();
        self.step_election();
        self.step_leaving();
        self.judge_health();
    }

    fn seal(&mut self) -> Ready {
        if self.save {
            self.save = false;
            self.persist();
        }
        if self.told.is_none() {
            self.publish_role();
            if std::mem::take(&mut self.reroute) {
                self.publish_routing();
            }
        }
        let mut ready = std::mem::take(&mut self.out);
        ready.wake_at = self.wake_at();
        ready
    }

    fn persist(&mut self) {
        let text = nodes_conf::print(self);
        let next = self.next_ticket();
        if text == self.saved_text {
            // Nothing new: what would wait for this ticket waits for the one that holds the same.
            let last = Some(self.ticket).filter(|ticket| *ticket > self.durable);
            let waiting = self.out.send.iter_mut().map(|send| &mut send.after);
            let answers = self.out.answers.iter_mut().map(|answer| &mut answer.after);
            waiting.chain(answers).filter(|after| **after == Some(next)).for_each(|after| {
                *after = last;
            });
            self.settle_gate(last);
            return;
        }
        self.ticket = next;
        self.saved_text.clone_from(&text);
        self.settle_gate(Some(next));
        self.out.persist = Some(Persist { ticket: next, text });
    }

    /// A claim of this turn learns which ticket it waits for.
    fn settle_gate(&mut self, ticket: Option<Ticket>) {
        match (&mut self.told, ticket) {
            (Some(told), Some(_)) if told.until.is_none() => told.until = ticket,
            (Some(told), None) if told.until.is_none() => self.told = None,
            _ => {}
        }
    }

    /// The ticket that a wish to persist made in this turn will get.
    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket(self.ticket.0 + 1)
    }

    /// Asks for the state to be durable; what has the returned ticket waits for it.
    pub(crate) fn durably(&mut self) -> Option<Ticket> {
        self.save = true;
        #[cfg(feature = "mutants")]
        if self.config.mutant == Some(crate::config::Mutant::SendsBeforePersist) {
            return None;
        }
        Some(self.next_ticket())
    }

    /// Closes the gate before a claim changes the state: see the top of this file.
    pub(crate) fn close_gate(&mut self) {
        self.changed();
        #[cfg(feature = "mutants")]
        if self.config.mutant == Some(crate::config::Mutant::SendsBeforePersist) {
            self.broadcast_pong();
            return;
        }
        match &mut self.told {
            // A second claim before the first is durable: both wait for the second.
            Some(told) => told.until = None,
            None => {
                self.told = Some(Told {
                    primary: self.primary,
                    config_epoch: self.own_config_epoch(),
                    slots: self.own_slots(),
                    until: None,
                });
            }
        }
    }

    fn persisted(&mut self, ticket: Ticket) {
        self.durable = self.durable.max(ticket);
        self.disk_failed = None;
        let open = self.told.as_ref().and_then(|told| told.until);
        if open.is_some_and(|until| until <= self.durable) {
            self.told = None;
            self.reroute = true;
            self.broadcast_pong();
        }
    }

    fn persist_failed(&mut self, ticket: Ticket) {
        self.log(
            LogLevel::Warning,
            format!(
                "nodes.conf could not be made durable (ticket {}); this node neither votes nor \
                 stands for election until it can be.",
                ticket.0
            ),
        );
        self.disk_failed = Some(self.now);
    }

    fn publish_role(&mut self) {
        let role = match self.primary {
            None => RoleChange::Primary,
            Some(id) => {
                let peer = self.peers.get(&id);
                RoleChange::ReplicaOf {
                    id,
                    ip: peer.and_then(|peer| peer.ip),
                    port: peer
                        .map_or(0, |peer| self.ports_of(peer).like(self.config.tls_replication)),
                    hostname: peer.map_or_else(String::new, |peer| peer.hostname.clone()),
                }
            }
        };
        if self.role.as_ref() != Some(&role) {
            self.role = Some(role.clone());
            self.out.role = Some(role);
        }
    }

    fn publish_routing(&mut self) {
        let map = self.build_routing();
        if map != *self.routing {
            self.routing = Arc::new(map);
            self.out.routing = Some(Arc::clone(&self.routing));
        }
    }

    fn wake_at(&self) -> Millis {
        [self.election.wake_at(), self.manual.ends, self.leaving.as_ref().map(|l| l.deadline)]
            .into_iter()
            .flatten()
            .filter(|moment| *moment > self.now)
            .fold(self.next_cron, Millis::min)
    }

    /// Something that nodes.conf or clients show has changed.
    pub(crate) fn changed(&mut self) {
        self.save = true;
        self.reroute = true;
    }

    /// A line for the log.
    pub(crate) fn log(&mut self, level: LogLevel, text: String) {
        self.out.log.push(LogLine { level, text });
    }

    /// True when this node is a primary.
    pub fn is_primary(&self) -> bool {
        self.primary.is_none()
    }

    /// The slots that packets of this node claim: its own, or its primary's.
    pub(crate) fn own_slots(&self) -> SlotSet {
        self.slots.of(self.primary.unwrap_or(self.id))
    }

    /// The configuration epoch that packets of this node announce: its own, or its primary's.
    pub(crate) fn own_config_epoch(&self) -> u64 {
        match self.primary {
            None => self.config_epoch,
            Some(primary) => self.peers.get(&primary).map_or(0, |peer| peer.config_epoch),
        }
    }

    /// The configuration epoch of any node, as we know it.
    pub(crate) fn config_epoch_of(&self, node: NodeId) -> u64 {
        if node == self.id {
            return self.config_epoch;
        }
        self.peers.get(&node).map_or(0, |peer| peer.config_epoch)
    }

    fn booted(&mut self, has_data_mark: bool, keys: u64) {
        let owns = self.is_primary() && self.slots.has_slots(self.id);
        if owns && has_data_mark && keys == 0 {
            self.lame = true;
            self.reroute = true;
            self.log(
                LogLevel::Warning,
                "This primary owns slots and had data, but has none now: it serves nothing and \
                 asks a replica to take over."
                    .to_owned(),
            );
            self.broadcast_pong();
        }
    }

    fn reconfigure(&mut self, config: Config) {
        let renamed = config.hostname != self.config.hostname
            || config.human_name != self.config.human_name
            || config.announce_ip != self.config.announce_ip;
        if config.announce_ip.is_some() {
            self.ip = config.announce_ip;
        }
        self.config = config;
        self.changed();
        if renamed {
            self.broadcast_pong();
        }
    }
}
