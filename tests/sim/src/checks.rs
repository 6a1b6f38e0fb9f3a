//! The invariants, checked on what a bystander sees: frames on the wire, texts on disk, and what
//! clients would be answered.
//!
//! Frames are read here by their place in the published layout, not by the codec under test.
//!
//!   byte   12 type   16 currentEpoch   24 configEpoch   40 sender   80 slots   2250 flags
//!
//! - C1: a voter votes once per epoch, also across a crash, and no vote leaves before it is
//!   durable.
//! - C2: at most one winner per epoch: no two nodes claim slots with one config epoch.
//! - C3: epochs on disk never go back.
//! - S3 (without leases): two nodes acknowledge writes for one slot for a bounded time only.
//!
//! C4 needs the whole world and is checked by `life.rs`. Not known here: what a node believes.

use std::collections::BTreeMap;

use crate::network::HostId;

const TYPE_PING: u16 = 0;
const TYPE_PONG: u16 = 1;
const TYPE_VOTE: u16 = 6;
const FLAG_PRIMARY: u16 = 1;

/// What a bystander reads off a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Type of the frame.
    pub kind: u16,
    /// `currentEpoch` of the sender.
    pub current_epoch: u64,
    /// `configEpoch` of the sender (of its primary, for a replica).
    pub config_epoch: u64,
    /// The sender's id, 40 hexadecimal digits.
    pub sender: Vec<u8>,
    /// The sender claims slots as their primary.
    pub claims_slots: bool,
}

/// Reads a frame; `None` when it is too short to have a header.
pub fn see(frame: &[u8]) -> Option<Seen> {
    let half = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let whole = |at: usize| Some(u64::from_be_bytes(frame.get(at..at + 8)?.try_into().ok()?));
    let slots = frame.get(80..2128)?;
    let is_primary = half(2250)? & FLAG_PRIMARY != 0;
    Some(Seen {
        kind: half(12)?,
        current_epoch: whole(16)?,
        config_epoch: whole(24)?,
        sender: frame.get(40..80)?.to_vec(),
        claims_slots: is_primary && slots.iter().any(|byte| *byte != 0),
    })
}

impl Seen {
    /// True for a vote.
    pub fn is_vote(&self) -> bool {
        self.kind == TYPE_VOTE
    }
}

/// Epochs as a nodes.conf tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskEpochs {
    /// `currentEpoch`.
    pub current: u64,
    /// `lastVoteEpoch`.
    pub last_vote: u64,
}

/// Reads the last line of a nodes.conf.
pub fn disk_epochs(text: &str) -> Option<DiskEpochs> {
    let vars = text.lines().find_map(|line| line.strip_prefix("vars "))?;
    let words: Vec<&str> = vars.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    Some(DiskEpochs { current: after("currentEpoch")?, last_vote: after("lastVoteEpoch")? })
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Checks {
    votes: BTreeMap<(HostId, u64), HostId>,
    claims: BTreeMap<u64, Vec<u8>>,
    disk: BTreeMap<HostId, DiskEpochs>,
    overlap_since: BTreeMap<u16, u64>,
    /// Longest overlap so far, milliseconds.
    pub overlap_ms_max: u64,
}

impl Checks {
    /// A frame leaves a host for another. `durable`: the sender's disk at this moment.
    ///
    /// # Errors
    /// The invariant that it breaks, as a sentence.
    pub fn frame(
        &mut self,
        from: HostId,
        to: HostId,
        frame: &[u8],
        durable: Option<&str>,
    ) -> Result<Option<Seen>, String> {
        let Some(seen) = see(frame) else { return Ok(None) };
        if seen.is_vote() {
            self.vote(from, to, seen.current_epoch, durable)?;
        }
        if matches!(seen.kind, TYPE_PING | TYPE_PONG) && seen.claims_slots {
            self.claim(&seen)?;
        }
        Ok(Some(seen))
    }

    fn vote(
        &mut self,
        voter: HostId,
        candidate: HostId,
        epoch: u64,
        durable: Option<&str>,
    ) -> Result<(), String> {
        let first = *self.votes.entry((voter, epoch)).or_insert(candidate);
        if first != candidate {
            return Err(format!(
                "C1: host {voter} voted for host {first} and for host {candidate} in epoch {epoch}"
            ));
        }
        let on_disk = durable.and_then(disk_epochs).unwrap_or_default();
        if on_disk.last_vote < epoch {
            return Err(format!(
                "C1: host {voter} sent its vote of epoch {epoch}, its disk has {}",
                on_disk.last_vote
            ));
        }
        Ok(())
    }

    fn claim(&mut self, seen: &Seen) -> Result<(), String> {
        let first = self.claims.entry(seen.config_epoch).or_insert_with(|| seen.sender.clone());
        if *first == seen.sender {
            return Ok(());
        }
        Err(format!(
            "C2: {} and {} both claim slots with config epoch {}",
            first.escape_ascii(),
            seen.sender.escape_ascii(),
            seen.config_epoch
        ))
    }

    /// A text became durable.
    ///
    /// # Errors
    /// An epoch went back.
    pub fn persisted(&mut self, host: HostId, text: &str) -> Result<(), String> {
        let Some(now) = disk_epochs(text) else {
            return Err(format!("C3: host {host} saved a nodes.conf without epochs"));
        };
        let before = self.disk.insert(host, now).unwrap_or_default();
        if now.current < before.current || now.last_vote < before.last_vote {
            return Err(format!("C3: epochs of host {host} went back from {before:?} to {now:?}"));
        }
        Ok(())
    }

    /// Who would acknowledge a write to `slot` at this moment.
    ///
    /// # Errors
    /// Two nodes did so for longer than the bound.
    pub fn acceptors(
        &mut self,
        now: u64,
        slot: u16,
        hosts: &[HostId],
        bound_ms: u64,
    ) -> Result<(), String> {
        if hosts.len() < 2 {
            self.overlap_since.remove(&slot);
            return Ok(());
        }
        let since = *self.overlap_since.entry(slot).or_insert(now);
        let lasted = now - since;
        self.overlap_ms_max = self.overlap_ms_max.max(lasted);
        if lasted > bound_ms {
            return Err(format!(
                "S3: hosts {hosts:?} acknowledge writes for slot {slot} since {lasted} ms"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u16, epoch: u64, sender: u8, slots: bool) -> Vec<u8> {
        let mut frame = vec![0; 2256];
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        frame[16..24].copy_from_slice(&epoch.to_be_bytes());
        frame[24..32].copy_from_slice(&epoch.to_be_bytes());
        frame[40..80].fill(sender);
        frame[80] = u8::from(slots);
        frame[2250..2252].copy_from_slice(&FLAG_PRIMARY.to_be_bytes());
        frame
    }

    #[test]
    fn a_second_vote_for_another_is_found_and_a_repeated_one_is_not() {
        let mut checks = Checks::default();
        let disk = Some("vars currentEpoch 5 lastVoteEpoch 5\n");
        assert!(checks.frame(0, 1, &frame(TYPE_VOTE, 5, b'a', false), disk).is_ok());
        assert!(checks.frame(0, 1, &frame(TYPE_VOTE, 5, b'a', false), disk).is_ok());
        let second = checks.frame(0, 2, &frame(TYPE_VOTE, 5, b'a', false), disk);
        assert!(second.unwrap_err().starts_with("C1"));
    }

    #[test]
    fn a_vote_that_is_not_on_disk_is_found() {
        let mut checks = Checks::default();
        let disk = Some("vars currentEpoch 5 lastVoteEpoch 4\n");
        assert!(checks.frame(0, 1, &frame(TYPE_VOTE, 5, b'a', false), disk).is_err());
    }

    #[test]
    fn two_owners_with_one_epoch_are_found() {
        let mut checks = Checks::default();
        assert!(checks.frame(0, 1, &frame(TYPE_PING, 5, b'a', true), None).is_ok());
        assert!(checks.frame(1, 0, &frame(TYPE_PING, 5, b'b', false), None).is_ok());
        let second = checks.frame(1, 0, &frame(TYPE_PING, 5, b'b', true), None);
        assert!(second.unwrap_err().starts_with("C2"));
    }

    #[test]
    fn an_epoch_that_goes_back_on_disk_is_found() {
        let mut checks = Checks::default();
        assert!(checks.persisted(0, "vars currentEpoch 5 lastVoteEpoch 5\n").is_ok());
        assert!(checks.persisted(0, "vars currentEpoch 4 lastVoteEpoch 4\n").is_err());
    }

    #[test]
    fn an_overlap_is_an_error_only_past_its_bound() {
        let mut checks = Checks::default();
        assert!(checks.acceptors(1000, 7, &[0, 1], 500).is_ok());
        assert!(checks.acceptors(1400, 7, &[0, 1], 500).is_ok());
        assert!(checks.acceptors(1600, 7, &[0, 1], 500).is_err());
        assert_eq!(checks.overlap_ms_max, 600);
    }
}
