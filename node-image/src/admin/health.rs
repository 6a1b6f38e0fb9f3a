//! Is the node started, alive, ready? Answers with the reason, from facts alone.
//!
//! The three questions have different costs of a wrong "no". A wrong "not alive" kills a process
//! that holds data; a wrong "not ready" only takes a node out of a Service for a moment. So
//! liveness forgives everything but a thread that is truly stuck: a script of half a minute is no
//! reason to kill a primary. Not known here: how the facts were read, and HTTP.

use holdfast_wire::state::{BootState, NodeRole};

/// A bus thread that has not turned for this long is stuck.
const BUS_STUCK_MS: u64 = 20_000;

/// A core without a loop turn and without a tick from long work for this long is stuck.
const CORE_STUCK_MS: u64 = 60_000;

/// What the three verdicts rest on.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// How far the start has come.
    pub boot: BootState,
    /// Role of the node.
    pub role: NodeRole,
    /// False when the node runs without the cluster protocol.
    pub cluster_enabled: bool,
    /// The cluster is `ok` in this node's view.
    pub cluster_ok: bool,
    /// Slots that this node owns.
    pub slots_owned: u16,
    /// A replica's link is up and its first full sync is complete.
    pub replica_in_sync: bool,
    /// Milliseconds since the bus thread last turned.
    pub bus_idle_ms: u64,
    /// Milliseconds since the core last turned or ticked.
    pub core_idle_ms: u64,
}

/// Fine, or the reason why not.
pub type Verdict = Result<(), String>;

impl Health {
    /// The start is over: the data is read. A lame node has started; it only cannot serve.
    pub fn started(&self) -> Verdict {
        match self.boot {
            BootState::Loading => Err("the data set is still being read from disk".to_owned()),
            BootState::Ready | BootState::Lame | BootState::Leaving => Ok(()),
        }
    }

    /// The threads turn.
    pub fn alive(&self) -> Verdict {
        if self.bus_idle_ms > BUS_STUCK_MS {
            return Err(format!("the bus thread has not turned for {} ms", self.bus_idle_ms));
        }
        if self.core_idle_ms > CORE_STUCK_MS {
            return Err(format!("core 0 has not turned for {} ms", self.core_idle_ms));
        }
        Ok(())
    }

    /// Clients that are sent here get answers.
    ///
    /// A fresh node without slots is ready as soon as it serves: it is waiting to be joined, and
    /// nobody could join it if that needed a cluster first.
    pub fn ready(&self) -> Verdict {
        self.started()?;
        match self.boot {
            BootState::Lame => return Err("the data was lost; a replica must take over".to_owned()),
            BootState::Leaving => return Err("the node is shutting down".to_owned()),
            BootState::Loading | BootState::Ready => {}
        }
        if !self.cluster_enabled {
            return Ok(());
        }
        match self.role {
            NodeRole::Replica if !self.replica_in_sync => {
                Err("the replica is not in sync with its primary".to_owned())
            }
            NodeRole::Primary if self.slots_owned > 0 && !self.cluster_ok => {
                Err("the cluster is down in this node's view".to_owned())
            }
            NodeRole::Replica | NodeRole::Primary => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving() -> Health {
        Health {
            boot: BootState::Ready,
            cluster_enabled: true,
            cluster_ok: true,
            slots_owned: 5461,
            ..Health::default()
        }
    }

    #[test]
    fn a_long_script_is_no_reason_to_kill_a_primary() {
        assert_eq!(Health { core_idle_ms: 59_000, ..serving() }.alive(), Ok(()));
        assert!(Health { core_idle_ms: 61_000, ..serving() }.alive().is_err());
        assert!(Health { bus_idle_ms: 21_000, ..serving() }.alive().is_err());
    }

    #[test]
    fn a_fresh_node_is_ready_before_it_belongs_to_a_cluster() {
        let fresh = Health { cluster_ok: false, slots_owned: 0, ..serving() };
        assert_eq!(fresh.ready(), Ok(()));
        assert!(Health { boot: BootState::Loading, ..fresh.clone() }.ready().is_err());
        assert!(Health { slots_owned: 1, ..fresh }.ready().is_err());
    }

    #[test]
    fn a_lame_or_leaving_or_unsynced_node_is_not_ready_but_has_started() {
        for boot in [BootState::Lame, BootState::Leaving] {
            let node = Health { boot, ..serving() };
            assert_eq!(node.started(), Ok(()));
            assert!(node.ready().is_err());
        }
        let replica = Health { role: NodeRole::Replica, slots_owned: 0, ..serving() };
        assert!(replica.ready().is_err());
        assert_eq!(Health { replica_in_sync: true, ..replica }.ready(), Ok(()));
    }
}
