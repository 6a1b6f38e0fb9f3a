//! Who is suspected (PFAIL), who has failed (FAIL), and who is forgiven.
//!
//! A suspicion is one node's opinion: silence for the node timeout, or a refused connection,
//! which proves that the process is gone. A failure is the opinion of a majority of the primaries
//! that own slots; whoever counts the majority tells everybody by a FAIL packet. `HOLDFAST DEAD`
//! is the third way: the operator knows that this very life of a node is over.
//!
//! Not known here: what a failure of a primary leads to; see `election.rs`.

use holdfast_wire::bus::Body;
use holdfast_wire::id::{BootId, NodeId};

use crate::command::Reply;
use crate::event::Token;
use crate::node::Node;
use crate::peer::Kind;
use crate::ready::LogLevel;

/// A report counts for that many node timeouts.
const REPORT_TIMEOUTS: u64 = 2;
/// A failed primary that is back and was not replaced is forgiven after that many node timeouts.
const FORGIVE_TIMEOUTS: u64 = 2;
/// The same among our own kind, whose elections are over long before.
const FORGIVE_OURS_MS: u64 = 3000;
/// A connection that is not established after that long will not be.
const CONNECT_MS_MAX: u64 = 1000;

impl Node {
    /// A primary that owns slots: it votes, and its reports count.
    pub(crate) fn votes(&self, id: NodeId) -> bool {
        self.slots.has_slots(id) && !self.peers.get(&id).is_some_and(|peer| peer.is_replica)
    }

    /// How many votes make a majority.
    pub(crate) fn majority(&self) -> usize {
        self.slots.size() / 2 + 1
    }

    /// Silence becomes suspicion; links on which nothing comes are opened anew.
    pub(crate) fn suspect_the_silent(&mut self) {
        let timeout = self.config.node_timeout_ms;
        let now = self.now;
        let mut stuck = Vec::new();
        let mut silent = Vec::new();
        for (id, peer) in &self.peers {
            let Some(sent) = peer.ping_sent else { continue };
            let quiet = now.since(sent).min(now.since(peer.heard));
            let link = peer.link.and_then(|link| self.links.get(&link));
            if let Some(link) = link
                && link.connected
                && now.since(link.created) > timeout / 2
                && quiet > timeout / 2
            {
                stuck.push(*id);
            }
            if quiet > timeout && peer.well() {
                silent.push(*id);
            }
        }
        let limit = CONNECT_MS_MAX.min(timeout / 2).max(1);
        let hung: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| !link.connected && now.since(link.created) > limit)
            .map(|(id, _)| *id)
            .collect();
        for id in stuck {
            self.drop_link_of(id);
            self.look_up(id);
        }
        for link in hung {
            self.close(link);
        }
        for id in silent {
            self.suspect(id);
        }
    }

    /// The peer's host refused a connection: its process is not there. Said at once, and told at
    /// once to those who count.
    pub(crate) fn suspect_refused(&mut self, id: NodeId) {
        if !self.peers.get(&id).is_some_and(|peer| peer.well()) {
            return;
        }
        self.suspect(id);
        let voters: Vec<_> = self.slots.owners().filter(|owner| *owner != id).collect();
        for voter in voters {
            self.ping(voter);
        }
    }

    fn suspect(&mut self, id: NodeId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.pfail = true;
        peer.ping_sent = peer.ping_sent.or(Some(self.now));
        self.log(LogLevel::Debug, format!("Node {id} is possibly failing."));
        self.changed();
        self.look_up(id);
        self.judge(id);
    }

    /// A primary says that a node is failing.
    pub(crate) fn report_failure(&mut self, id: NodeId, reporter: NodeId) {
        let now = self.now;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.reports.insert(reporter, now);
        }
        self.judge(id);
    }

    /// A primary no longer says so.
    pub(crate) fn withdraw_report(&mut self, id: NodeId, reporter: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.reports.remove(&reporter);
        }
    }

    /// How many primaries, this one apart, say that a node is failing.
    pub(crate) fn count_reports(&mut self, id: NodeId) -> usize {
        let limit = self.config.node_timeout_ms * REPORT_TIMEOUTS;
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return 0 };
        peer.reports.retain(|_, at| now.since(*at) <= limit);
        let reporters: Vec<_> = peer.reports.keys().copied().collect();
        reporters.into_iter().filter(|reporter| self.votes(*reporter)).count()
    }

    /// PFAIL becomes FAIL when the majority says so.
    fn judge(&mut self, id: NodeId) {
        if !self.peers.get(&id).is_some_and(|peer| peer.pfail && !peer.failed()) {
            return;
        }
        let own_word = usize::from(self.is_primary() && self.votes(self.id));
        if self.count_reports(id) + own_word < self.majority() {
            return;
        }
        self.counters.failures_seen += 1;
        self.log(LogLevel::Notice, format!("Marking node {id} as failing (quorum reached)."));
        self.mark_failed(id);
        self.broadcast_fail(id);
    }

    fn broadcast_fail(&mut self, id: NodeId) {
        let links = self.all_links();
        let packet = self.packet_of(Body::Fail(id));
        self.send_to(&links, &packet, None);
    }

    fn mark_failed(&mut self, id: NodeId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.failed() {
            return;
        }
        peer.pfail = false;
        peer.fail_since = Some(now);
        // Whoever is failed is pinged until it answers.
        peer.ping_sent = peer.ping_sent.or(Some(now));
        self.changed();
    }

    /// A FAIL packet.
    pub(crate) fn told_failed(&mut self, sender: NodeId, id: NodeId) {
        if self.peers.get(&id).is_some_and(|peer| !peer.failed()) {
            self.log(LogLevel::Notice, format!("FAIL message received from {sender} about {id}."));
            self.mark_failed(id);
        }
    }

    /// A failed node answers again.
    pub(crate) fn forgive(&mut self, id: NodeId) {
        let Some(peer) = self.peers.get(&id) else { return };
        let Some(since) = peer.fail_since else { return };
        let patience = match peer.kind {
            Kind::Ours => FORGIVE_OURS_MS.min(self.config.node_timeout_ms * FORGIVE_TIMEOUTS),
            Kind::Foreign | Kind::Unknown => self.config.node_timeout_ms * FORGIVE_TIMEOUTS,
        };
        let replaceable =
            self.peers.values().any(|other| other.primary == Some(id) && other.well())
                || self.primary == Some(id);
        let harmless = peer.is_replica || !self.slots.has_slots(id);
        let alone = peer.kind == Kind::Ours && !replaceable;
        if !(harmless || alone || self.now.since(since) > patience) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.fail_since = None;
            peer.pfail = false;
        }
        self.log(LogLevel::Notice, format!("Clear FAIL state for node {id}: it is reachable."));
        self.changed();
    }

    /// `HOLDFAST DEAD`: believed unless another life of the node, or a change of its slots, was
    /// seen since the operator looked.
    pub(crate) fn reported_dead(
        &mut self,
        token: Token,
        id: NodeId,
        boot: Option<BootId>,
        config_epoch: u64,
    ) {
        let ignored = |reason: &str| Ok(Reply::Status(format!("IGNORED {reason}")));
        let Some(peer) = self.peers.get(&id) else {
            self.answer(token, ignored("the node is not known here"));
            return;
        };
        if let (Some(reported), Some(known)) = (boot, peer.boot)
            && reported != known
        {
            self.answer(token, ignored("another life of the node was seen"));
            return;
        }
        if peer.config_epoch != config_epoch {
            self.answer(token, ignored("the node has another configuration epoch"));
            return;
        }
        if !peer.failed() {
            self.log(LogLevel::Notice, format!("Node {id} was reported dead: marking it FAIL."));
            self.mark_failed(id);
            // A link to a dead life must not keep us from seeing the next one.
            self.drop_link_of(id);
            self.look_up(id);
        }
        self.broadcast_fail(id);
        self.answer(token, Ok(Reply::Ok));
    }
}
