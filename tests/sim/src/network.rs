//! Connections between hosts as TCP gives them: in order, whole, or not at all.
//!
//! A frame is never lost inside a living connection: a partition holds it back until it heals, or
//! until the connection breaks and takes everything in flight with it. That is what the bus sees
//! of packet loss in life. Not known here: what a frame says.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_cluster::LinkId;

/// A host of the simulation, by its number.
pub type HostId = usize;

/// A connection, by its number.
pub type ConnId = u64;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Whose end.
    pub host: HostId,
    /// Which life of the host; a later one knows nothing of it.
    pub life: u32,
    /// Its name at that host.
    pub link: LinkId,
}

/// An open connection.
#[derive(Debug, Clone)]
pub struct Conn {
    /// The end that connected, then the one that accepted.
    pub ends: [End; 2],
    /// Frames on their way, per receiving side: when they arrive at the earliest.
    pub in_flight: [Vec<(u64, Vec<u8>)>; 2],
}

/// All connections, and which ways are cut.
#[derive(Debug, Default)]
pub struct Network {
    conns: BTreeMap<ConnId, Conn>,
    next: ConnId,
    /// Ways (from, to) on which nothing passes.
    cut: BTreeSet<(HostId, HostId)>,
}

impl Network {
    /// Opens a connection between two ends.
    pub fn open(&mut self, from: End, to: End) -> ConnId {
        self.next += 1;
        let conn = Conn { ends: [from, to], in_flight: [Vec::new(), Vec::new()] };
        self.conns.insert(self.next, conn);
        self.next
    }

    /// The connection, as long as it is open.
    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    /// The same for writing.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&id)
    }

    /// Ends a connection; what was in flight is gone.
    pub fn close(&mut self, id: ConnId) -> Option<Conn> {
        self.conns.remove(&id)
    }

    /// Connections with an end at this host.
    pub fn of_host(&self, host: HostId) -> Vec<ConnId> {
        let touches = |conn: &Conn| conn.ends.iter().any(|end| end.host == host);
        self.conns.iter().filter(|(_, conn)| touches(conn)).map(|(id, _)| *id).collect()
    }

    /// All connections.
    pub fn all(&self) -> Vec<ConnId> {
        self.conns.keys().copied().collect()
    }

    /// Cuts one way.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.cut.insert((from, to));
    }

    /// Opens all ways again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// True when frames pass this way.
    pub fn passes(&self, from: HostId, to: HostId) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// True when a connection could be made: both ways are open.
    pub fn reaches(&self, from: HostId, to: HostId) -> bool {
        self.passes(from, to) && self.passes(to, from)
    }
}
