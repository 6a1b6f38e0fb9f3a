//! What a run has really exercised, so that a green run of nothing is seen as such.

use std::collections::BTreeMap;
use std::fmt;

/// Counters of one life, or of many added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Replicas that became primary.
    pub failovers: u64,
    /// Votes that were sent.
    pub votes: u64,
    /// Frames that were delivered.
    pub frames: u64,
    /// Events that were handled, of all nodes.
    pub steps: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Writes that some node would have acknowledged when asked.
    pub accepted_writes: u64,
    /// Longest time for which two nodes would have acknowledged writes for one slot.
    pub overlap_ms_max: u64,
    /// Longest time from the end of the faults until the cluster was whole.
    pub heal_ms_max: u64,
}

impl Coverage {
    /// Counts a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_insert(0) += 1;
    }

    /// Adds another life's counters.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_insert(0) += count;
        }
        self.failovers += other.failovers;
        self.votes += other.votes;
        self.frames += other.frames;
        self.steps += other.steps;
        self.virtual_ms += other.virtual_ms;
        self.accepted_writes += other.accepted_writes;
        self.overlap_ms_max = self.overlap_ms_max.max(other.overlap_ms_max);
        self.heal_ms_max = self.heal_ms_max.max(other.heal_ms_max);
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} virtual s, {} steps, {} frames, {} votes, {} failovers, {} writes accepted",
            self.virtual_ms / 1000,
            self.steps,
            self.frames,
            self.votes,
            self.failovers,
            self.accepted_writes
        )?;
        writeln!(
            out,
            "longest overlap of two owners {} ms, longest way back to whole {} ms",
            self.overlap_ms_max, self.heal_ms_max
        )?;
        let faults: Vec<String> =
            self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        write!(out, "faults: {}", faults.join(", "))
    }
}
