//! Elections from the candidate's side: when a replica stands, how often it asks, how it wins.
//!
//!   idle --reason--> scheduled(stand_at) --time--> asked(epoch) --majority--> won
//!                          ^                            |
//!                          +------ no majority ---------+
//!
//! A reason is a failed primary, a lame one (it lost its data), or a manual failover. The better
//! the offset, the lower the rank, the earlier a replica stands. Among our own kind the pace is
//! tens of milliseconds; with a foreign voter it is the classic one, because stock voters deny a
//! second vote for the same primary for twice the node timeout. A request goes out only once its
//! epoch is durable, and the win is told only once it is (see the gate in `node.rs`).
//!
//! Not known here: how voters decide; see `votes.rs`.

use std::collections::BTreeSet;

use holdfast_wire::bus::{Body, Header};
use holdfast_wire::id::NodeId;

use crate::event::{Millis, Ticket};
use crate::node::Node;
use crate::peer::Kind;
use crate::ready::LogLevel;

/// Spread of the first request among our own kind.
const FAST_SPREAD_MS: u64 = 50;
/// Delay per rank among our own kind.
const FAST_RANK_MS: u64 = 200;
/// A request without majority is asked again, by us, after this; it doubles with each attempt.
const FAST_RETRY_MS: u64 = 200;
/// Bound of that doubling.
const FAST_RETRY_MS_MAX: u64 = 2000;
/// The classic pace: fixed delay, spread, and delay per rank.
const CLASSIC_MS: (u64, u64, u64) = (500, 500, 1000);

/// Why a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The primary failed.
    Failed,
    /// The primary lost its data.
    Lame,
    /// A manual failover is ready.
    Manual,
}

/// A candidacy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Election {
    reason: Option<Reason>,
    stand_at: Option<Millis>,
    rank: u64,
    attempts: u32,
    asked: Option<Asked>,
    /// The reason why it does not stand was logged.
    excused: bool,
}

#[derive(Debug, Clone)]
struct Asked {
    epoch: u64,
    ticket: Option<Ticket>,
    /// When the request could go out: its epoch was durable.
    sent_at: Option<Millis>,
    repeated: bool,
    votes: BTreeSet<NodeId>,
}

/// The vote that this node gave last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastVote {
    pub(crate) epoch: u64,
    pub(crate) candidate: NodeId,
    pub(crate) ticket: Option<Ticket>,
}

impl Election {
    /// The next moment at which something is due.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        match &self.asked {
            None => self.stand_at,
            Some(asked) => asked.sent_at.map(|at| {
                at.plus(if asked.repeated { self.retry_ms() } else { FAST_RETRY_MS / 2 })
            }),
        }
    }

    fn retry_ms(&self) -> u64 {
        (FAST_RETRY_MS << self.attempts.saturating_sub(1).min(8)).min(FAST_RETRY_MS_MAX)
    }
}

impl Node {
    /// Why this node should stand now, if it should.
    fn reason_to_stand(&mut self) -> Option<Reason> {
        let id = self.primary?;
        let primary = self.peers.get(&id)?;
        if !self.slots.has_slots(id) || self.disk_failed.is_some() {
            return None;
        }
        if self.manual.can_start {
            return Some(Reason::Manual);
        }
        let reason = match (primary.failed(), primary.lame && primary.kind == Kind::Ours) {
            (_, true) => Reason::Lame,
            (true, false) => Reason::Failed,
            (false, false) => return None,
        };
        let excuse = self.excuse(reason);
        if excuse.is_empty() {
            return Some(reason);
        }
        if !self.election.excused {
            self.election.excused = true;
            self.log(LogLevel::Warning, format!("Not standing for election: {excuse}."));
        }
        None
    }

    /// Why this node must not stand by itself; empty when it may.
    fn excuse(&self, reason: Reason) -> &'static str {
        if self.config.replica_no_failover {
            return "cluster-replica-no-failover is set";
        }
        if !self.facts.has_copy {
            return "this replica has no complete copy of the data";
        }
        let factor = self.config.replica_validity_factor;
        if reason == Reason::Lame || factor == 0 {
            return "";
        }
        let timeout = self.config.node_timeout_ms;
        let Some(contact) = self.facts.last_contact else {
            return "the primary was never heard since the start";
        };
        let age = self.now.since(contact).saturating_sub(timeout);
        if age > self.config.repl_ping_period_ms + timeout * factor {
            "the copy is too old (cluster-replica-validity-factor)"
        } else {
            ""
        }
    }

    /// All voters are of our own kind.
    fn own_voters(&self) -> bool {
        let ours = |id: NodeId| self.peers.get(&id).is_none_or(|peer| peer.kind == Kind::Ours);
        self.slots.owners().all(ours)
    }

    /// How many replicas of the same primary know more than we do.
    fn rank(&self) -> u64 {
        let better = self.peers.values().filter(|peer| {
            peer.primary == self.primary
                && peer.is_replica
                && !peer.failed()
                && !peer.no_failover
                && peer.offset > self.facts.offset
        });
        better.count() as u64
    }

    pub(crate) fn step_election(&mut self) {
        let Some(reason) = self.reason_to_stand() else {
            if self.election.reason.is_some() {
                self.election = Election::default();
            }
            return;
        };
        if self.election.reason != Some(reason) {
            self.election = Election { reason: Some(reason), ..Election::default() };
        }
        if self.election.asked.is_some() {
            self.count_and_retry(reason);
        }
        if self.election.asked.is_none() && self.election.reason.is_some() {
            self.schedule_and_ask(reason);
        }
    }

    fn schedule_and_ask(&mut self, reason: Reason) {
        let rank = if reason == Reason::Manual { 0 } else { self.rank() };
        let fast = self.own_voters();
        let step = if fast { FAST_RANK_MS } else { CLASSIC_MS.2 };
        let stand_at = match self.election.stand_at {
            // Somebody turned out to know more than we: let it go first.
            Some(at) => at.plus(rank.saturating_sub(self.election.rank) * step),
            None => {
                let delay = match (reason, fast) {
                    (Reason::Manual, _) => 0,
                    (_, true) => self.rng.below(FAST_SPREAD_MS),
                    (_, false) => CLASSIC_MS.0 + self.rng.below(CLASSIC_MS.1),
                };
                // Fellow replicas rank themselves by our offset, and we by theirs.
                let primary = self.primary;
                self.pong_to(|peer| peer.primary == primary);
                self.log(
                    LogLevel::Notice,
                    format!("Start of election delayed for {delay} milliseconds (rank #{rank})."),
                );
                self.now.plus(delay + rank * step)
            }
        };
        self.election.rank = self.election.rank.max(rank);
        self.election.stand_at = Some(stand_at);
        if self.now >= stand_at {
            self.ask_for_votes(reason);
        }
    }

    fn ask_for_votes(&mut self, reason: Reason) {
        self.current_epoch += 1;
        // Who stands gives its own voice to itself: a winner is a voter at once, and a vote for
        // another in the epoch that it won would make two winners of one epoch.
        self.last_vote_epoch = self.current_epoch;
        self.counters.elections += 1;
        let after = self.durably();
        self.election.attempts += 1;
        self.election.asked = Some(Asked {
            epoch: self.current_epoch,
            ticket: after,
            sent_at: after.is_none().then_some(self.now),
            repeated: false,
            votes: BTreeSet::new(),
        });
        self.log(
            LogLevel::Notice,
            format!("Starting a failover election for epoch {}.", self.current_epoch),
        );
        let links = self.all_links();
        self.send_vote_request(reason, &links, after);
    }

    fn send_vote_request(
        &mut self,
        reason: Reason,
        links: &[crate::event::LinkId],
        after: Option<Ticket>,
    ) {
        let mut packet = self.packet_of(Body::VoteRequest);
        if let Some(asked) = &self.election.asked {
            packet.header.current_epoch = asked.epoch;
        }
        packet.header.force_vote = reason != Reason::Failed;
        self.send_to(links, &packet, after);
    }

    fn count_and_retry(&mut self, reason: Reason) {
        let majority = self.votes_to_win();
        let (now, durable) = (self.now, self.durable);
        let retry_ms = if self.own_voters() {
            self.election.retry_ms()
        } else {
            (self.config.node_timeout_ms * 4).max(4000)
        };
        let Some(asked) = &mut self.election.asked else { return };
        if asked.votes.len() >= majority {
            let epoch = asked.epoch;
            self.win(epoch);
            return;
        }
        if asked.sent_at.is_none() && asked.ticket.is_none_or(|ticket| ticket <= durable) {
            asked.sent_at = Some(now);
        }
        let Some(sent_at) = asked.sent_at else { return };
        let waited = now.since(sent_at);
        if waited >= retry_ms {
            self.election.asked = None;
            self.election.stand_at = None;
            self.election.rank = 0;
        } else if waited >= FAST_RETRY_MS / 2 && !asked.repeated {
            // The request or the vote may have been lost with a link: our own kind votes again
            // for the same request, a stock voter would only complain.
            asked.repeated = true;
            let votes = asked.votes.clone();
            let links = self.links_where(|id| {
                let ours = self.peers.get(&id).is_some_and(|peer| peer.kind == Kind::Ours);
                ours && self.votes(id) && !votes.contains(&id)
            });
            self.send_vote_request(reason, &links, None);
        }
    }

    fn votes_to_win(&self) -> usize {
        #[cfg(feature = "mutants")]
        if self.config.mutant == Some(crate::config::Mutant::WinsWithoutMajority) {
            return self.majority() - 1;
        }
        self.majority()
    }

    pub(crate) fn vote_received(&mut self, header: &Header) {
        if !self.votes(header.sender) {
            return;
        }
        if let Some(asked) = &mut self.election.asked
            && header.current_epoch == asked.epoch
        {
            asked.votes.insert(header.sender);
        }
    }

    fn win(&mut self, epoch: u64) {
        self.counters.elections_won += 1;
        self.log(LogLevel::Notice, format!("Failover election won: epoch {epoch}."));
        self.close_gate();
        self.config_epoch = self.config_epoch.max(epoch);
        self.replace_primary();
    }

    /// Takes the primary's slots over. The epoch is set and the gate closed by the caller.
    pub(crate) fn replace_primary(&mut self) {
        let Some(old) = self.primary.take() else { return };
        let slots = self.slots.of(old);
        self.slots.assign(&slots, self.id);
        self.migrate_to |= self.peers.values().any(|peer| peer.primary == Some(old));
        self.election = Election::default();
        self.health.promoted();
        self.end_manual_failover();
        self.changed();
    }
}
