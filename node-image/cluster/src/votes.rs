//! Elections from the voter's side.
//!
//! A primary that owns slots has one vote an epoch, ever: `last_vote_epoch` is durable before the
//! vote is sent, so that a crash does not give a second one. The same request, asked again, gets
//! the same vote again, for a link may have broken under it.
//!
//! Not known here: what the candidate does with it.

use holdfast_wire::bus::{Body, Header};
use holdfast_wire::id::NodeId;

use crate::election::LastVote;
use crate::node::Node;
use crate::peer::Kind;
use crate::ready::LogLevel;

/// After a vote for one replica of ours, another one of the same primary waits that long, so that
/// the winner's claim can arrive.
const HOLD_OURS_MS: u64 = 500;

impl Node {
    pub(crate) fn vote_requested(&mut self, header: &Header) {
        let candidate = header.sender;
        if !self.is_primary() || !self.slots.has_slots(self.id) {
            return;
        }
        if let Some(vote) = self.last_vote
            && (vote.epoch, vote.candidate) == (header.current_epoch, candidate)
        {
            self.send_vote(vote);
            return;
        }
        if let Some(reason) = self.reason_to_deny(header) {
            self.log(LogLevel::Warning, format!("Failover auth denied to {candidate}: {reason}."));
            return;
        }
        self.last_vote_epoch = header.current_epoch;
        let ticket = self.durably();
        let vote = LastVote { epoch: header.current_epoch, candidate, ticket };
        self.last_vote = Some(vote);
        let now = self.now;
        let primary = self.peers.get(&candidate).and_then(|peer| peer.primary);
        if let Some(peer) = primary.and_then(|id| self.peers.get_mut(&id)) {
            peer.voted = Some((candidate, now));
        }
        self.counters.votes += 1;
        self.log(
            LogLevel::Notice,
            format!("Failover auth granted to {candidate} for epoch {}.", vote.epoch),
        );
        self.send_vote(vote);
    }

    fn send_vote(&mut self, vote: LastVote) {
        let Some(link) = self.link_of(vote.candidate) else { return };
        let mut packet = self.packet_of(Body::Vote);
        packet.header.current_epoch = vote.epoch;
        let after = vote.ticket.filter(|ticket| *ticket > self.durable);
        self.send(link, &packet, after);
    }

    fn reason_to_deny(&self, header: &Header) -> Option<String> {
        if self.disk_failed.is_some() {
            return Some("our own disk failed".to_owned());
        }
        // The header was heard, so our epoch is at least the request's.
        if header.current_epoch < self.current_epoch {
            return Some(format!(
                "its epoch {} is older than ours {}",
                header.current_epoch, self.current_epoch
            ));
        }
        if self.last_vote_epoch >= header.current_epoch && !self.votes_twice() {
            return Some(format!("already voted for epoch {}", self.last_vote_epoch));
        }
        let Some(primary) = self.peers.get(&header.sender).and_then(|peer| peer.primary) else {
            return Some("it is no replica".to_owned());
        };
        if let Some(reason) = self.deny_for_primary(header, primary) {
            return Some(reason);
        }
        let newer = self.slots.iter().find(|(owner, slots)| {
            slots.intersects(&header.slots) && self.config_epoch_of(*owner) > header.config_epoch
        });
        newer.map(|(owner, _)| format!("its slots belong to {owner} by a newer epoch"))
    }

    fn deny_for_primary(&self, header: &Header, primary: NodeId) -> Option<String> {
        if primary == self.id {
            return (!header.force_vote).then(|| "its primary, this node, is up".to_owned());
        }
        let Some(peer) = self.peers.get(&primary) else {
            return Some("its primary is not known here".to_owned());
        };
        if !peer.failed() && !header.force_vote {
            return Some("its primary is up".to_owned());
        }
        let ours = self.peers.get(&header.sender).is_some_and(|peer| peer.kind == Kind::Ours);
        let (voted_for, at) = peer.voted?;
        let held = if ours {
            voted_for != header.sender && self.now.since(at) < HOLD_OURS_MS
        } else {
            self.now.since(at) < self.config.node_timeout_ms * 2
        };
        held.then(|| format!("voted about its primary {} ms ago", self.now.since(at)))
    }

    #[cfg(feature = "mutants")]
    fn votes_twice(&self) -> bool {
        self.config.mutant == Some(crate::config::Mutant::VotesTwice)
    }

    #[cfg(not(feature = "mutants"))]
    fn votes_twice(&self) -> bool {
        false
    }
}
