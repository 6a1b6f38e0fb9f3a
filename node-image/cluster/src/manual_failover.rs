//! Manual failover, and the hand-over of a primary that leaves.
//!
//!   replica --MFSTART--> primary          the primary stops writes
//!   replica <--PING, paused, offset--     no write follows that offset
//!   replica applies up to the offset, then asks for votes by force; the primary votes too
//!
//! The pause happens in another thread, so the primary says "paused" only after the core told the
//! offset at which it stopped. A hand-over (SIGTERM) is the same, begun by the primary: it asks
//! the replica that has most, by our extension, to do this.
//!
//! Not known here: how votes are counted; see `election.rs`.

use holdfast_wire::bus::Body;
use holdfast_wire::id::NodeId;

use crate::command::{FailoverKind, Reply};
use crate::event::{Millis, Token};
use crate::node::Node;
use crate::peer::Kind;
use crate::ready::{HandOver, LogLevel, Pause};

/// How long a manual failover may take.
const TIMEOUT_MS: u64 = 5000;
/// How long a leaving primary waits for an answer before it asks again.
const ASK_AGAIN_MS: u64 = 500;

/// A manual failover in progress, on either side.
#[derive(Debug, Clone, Default)]
pub(crate) struct ManualFailover {
    pub(crate) ends: Option<Millis>,
    /// On the primary: who takes over.
    pub(crate) replica: Option<NodeId>,
    /// On the primary: where the core stopped.
    pub(crate) paused_offset: Option<u64>,
    /// On the replica: where the primary stopped.
    primary_offset: Option<u64>,
    /// On the replica: it may ask for votes.
    pub(crate) can_start: bool,
}

/// A primary on its way out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaving {
    pub(crate) deadline: Millis,
    asked: Option<(NodeId, Millis)>,
}

impl Node {
    /// `CLUSTER FAILOVER`.
    pub(crate) fn fail_over(&mut self, token: Token, kind: FailoverKind) {
        let result = self.start_failover(kind).map(|()| Reply::Ok);
        self.answer(token, result.map_err(str::to_owned));
    }

    fn start_failover(&mut self, kind: FailoverKind) -> Result<(), &'static str> {
        let Some(id) = self.primary else {
            return Err("ERR You should send CLUSTER FAILOVER to a replica");
        };
        let Some(primary) = self.peers.get(&id) else {
            return Err("ERR I'm a replica but my master is unknown to me");
        };
        let reachable = !primary.failed() && primary.link.is_some();
        if !reachable && kind == FailoverKind::Graceful {
            return Err("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE");
        }
        self.end_manual_failover();
        self.manual.ends = Some(self.now.plus(TIMEOUT_MS));
        match kind {
            FailoverKind::Takeover => {
                self.log(LogLevel::Notice, "Taking over the master (user request).".to_owned());
                self.close_gate();
                self.bump_epoch();
                self.replace_primary();
            }
            FailoverKind::Force => {
                self.log(LogLevel::Notice, "Forced failover user request accepted.".to_owned());
                self.manual.can_start = true;
            }
            FailoverKind::Graceful => {
                self.log(LogLevel::Notice, "Manual failover user request accepted.".to_owned());
                self.ask_primary_to_pause(id);
            }
        }
        Ok(())
    }

    fn ask_primary_to_pause(&mut self, primary: NodeId) {
        if let Some(link) = self.link_of(primary) {
            let packet = self.packet_of(Body::ManualFailoverStart);
            self.send(link, &packet, None);
        }
    }

    /// Our primary leaves and asks us to take over.
    pub(crate) fn primary_asks_to_take_over(&mut self) {
        if self.manual.ends.is_some() {
            return;
        }
        if self.start_failover(FailoverKind::Graceful).is_ok() {
            self.log(LogLevel::Notice, "The primary leaves and hands over to us.".to_owned());
        }
    }

    /// MFSTART from a replica.
    pub(crate) fn manual_failover_asked(&mut self, replica: NodeId) {
        let follows = self.peers.get(&replica).is_some_and(|peer| peer.primary == Some(self.id));
        if !self.is_primary() || !follows {
            return;
        }
        self.manual = ManualFailover {
            ends: Some(self.now.plus(TIMEOUT_MS)),
            replica: Some(replica),
            // A pause that a first request began goes on, and so does its offset.
            paused_offset: self.manual.paused_offset.filter(|_| self.manual.ends.is_some()),
            ..ManualFailover::default()
        };
        self.out.pause = Some(Pause::Writes { until: self.now.plus(TIMEOUT_MS * 2) });
        self.log(LogLevel::Warning, format!("Manual failover requested by replica {replica}."));
        if self.manual.paused_offset.is_some() {
            self.ping(replica);
        }
    }

    /// The core stopped taking writes.
    pub(crate) fn writes_paused(&mut self, offset: u64) {
        let Some(replica) = self.manual.replica else { return };
        self.facts.offset = self.facts.offset.max(offset);
        self.manual.paused_offset = Some(offset);
        self.ping(replica);
    }

    /// Our primary says where it stopped.
    pub(crate) fn primary_paused(&mut self, offset: u64) {
        if self.manual.ends.is_none() || self.manual.primary_offset.is_some() {
            return;
        }
        self.manual.primary_offset = Some(offset);
        self.out.watch_offset = Some(offset);
        self.log(
            LogLevel::Notice,
            format!("Received replication offset for paused primary manual failover: {offset}"),
        );
    }

    pub(crate) fn step_manual_failover(&mut self) {
        let Some(ends) = self.manual.ends else { return };
        if self.now >= ends {
            self.log(LogLevel::Warning, "Manual failover timed out.".to_owned());
            self.end_manual_failover();
            return;
        }
        let reached = self.manual.primary_offset.is_some_and(|offset| self.facts.offset >= offset);
        if reached && !self.manual.can_start {
            self.manual.can_start = true;
            self.log(
                LogLevel::Notice,
                "All primary replication stream processed, manual failover can start.".to_owned(),
            );
        }
    }

    /// Ends a manual failover, however it went; writes go on.
    pub(crate) fn end_manual_failover(&mut self) {
        if self.manual.replica.is_some() {
            self.out.pause = Some(Pause::Resume);
        }
        self.manual = ManualFailover::default();
    }

    /// SIGTERM.
    pub(crate) fn leave(&mut self, deadline_ms: u64) {
        self.leaving = Some(Leaving { deadline: self.now.plus(deadline_ms), asked: None });
    }

    pub(crate) fn step_leaving(&mut self) {
        let Some(leaving) = &self.leaving else { return };
        if self.told.is_some() {
            return;
        }
        if !self.is_primary() || !self.slots.has_slots(self.id) {
            self.finish_leaving(HandOver::Done);
            return;
        }
        let waiting = leaving.asked.is_some_and(|(_, at)| self.now.since(at) < ASK_AGAIN_MS);
        let hopeless = self.possible_heirs().next().is_none();
        if self.now >= leaving.deadline || hopeless || self.lame {
            self.finish_leaving(HandOver::Failed);
        } else if !waiting && self.manual.ends.is_none() {
            self.ask_heir();
        }
    }

    fn finish_leaving(&mut self, end: HandOver) {
        let text = match end {
            HandOver::Done => "Hand-over: this node owns no slots any more.",
            HandOver::Failed => "Hand-over: no replica could take over.",
        };
        self.log(LogLevel::Notice, text.to_owned());
        self.leaving = None;
        self.out.hand_over = Some(end);
    }

    /// Replicas of ours that live and understand the request.
    fn possible_heirs(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers
            .iter()
            .filter(|(_, peer)| {
                peer.primary == Some(self.id)
                    && peer.kind == Kind::Ours
                    && peer.well()
                    && !peer.no_failover
            })
            .map(|(id, _)| *id)
    }

    fn ask_heir(&mut self) {
        let before = self.leaving.as_ref().and_then(|leaving| leaving.asked);
        let heir = self
            .facts
            .synced_replicas
            .iter()
            .filter(|(id, _)| self.possible_heirs().any(|heir| heir == *id))
            .filter(|(id, _)| self.link_of(*id).is_some())
            // One that was asked and did nothing goes last.
            .max_by_key(|(id, offset)| (Some(*id) != before.map(|(id, _)| id), *offset))
            .map(|(id, _)| *id);
        let Some(heir) = heir else { return };
        let now = self.now;
        if let Some(leaving) = &mut self.leaving {
            leaving.asked = Some((heir, now));
        }
        self.log(LogLevel::Notice, format!("Hand-over: asking replica {heir} to take over."));
        self.ping_to_take_over(heir);
    }
}
