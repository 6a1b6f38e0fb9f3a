//! What a node is told by its configuration.
//!
//! The fields bear the names of the directives. Not known here: the file they come from.

use std::net::IpAddr;

use holdfast_wire::id::{BootId, ClusterId};

/// Which of a node's names a redirection shows to clients (`cluster-preferred-endpoint-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndpointType {
    /// The IP address.
    #[default]
    Ip,
    /// The announced hostname, `?` when there is none.
    Hostname,
    /// Nothing: the client keeps the host that it used.
    UnknownEndpoint,
}

/// The client ports of one node; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ports {
    /// In the clear.
    pub plain: u16,
    /// By TLS.
    pub tls: u16,
}

impl Ports {
    /// From the order in which the bus names them: `first` is the TLS port where the bus speaks
    /// TLS, and `second` the other one.
    pub fn from_bus(first: u16, second: u16, tls_cluster: bool) -> Self {
        let (plain, tls) = if tls_cluster { (second, first) } else { (first, second) };
        Self { plain, tls }
    }

    /// Both in the order of the bus.
    pub fn for_bus(self, tls_cluster: bool) -> (u16, u16) {
        if tls_cluster { (self.tls, self.plain) } else { (self.plain, self.tls) }
    }

    /// Where somebody goes on who came by TLS or in the clear; the other port when there is no
    /// such one.
    pub fn like(self, secured: bool) -> u16 {
        let (wished, other) = if secured { (self.tls, self.plain) } else { (self.plain, self.tls) };
        if wished == 0 { other } else { wished }
    }
}

/// Configuration of a [`crate::Node`]; replaced whole by [`crate::Event::Reconfigured`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Random id of this life of the process.
    pub boot_id: BootId,
    /// `holdfast-cluster-id`.
    pub cluster_id: Option<ClusterId>,
    /// `cluster-allow-foreign-nodes`: nodes without our cluster id may join.
    pub allow_foreign_nodes: bool,
    /// `cluster-node-timeout`, milliseconds.
    pub node_timeout_ms: u64,
    /// Client ports as announced.
    pub ports: Ports,
    /// `tls-cluster`: the bus speaks TLS, and packets name the TLS port first.
    pub tls_cluster: bool,
    /// `tls-replication`: a primary is reached at its TLS port.
    pub tls_replication: bool,
    /// Bus port as announced.
    pub bus_port: u16,
    /// `cluster-announce-ip`; without it peers take the address that they see.
    pub announce_ip: Option<IpAddr>,
    /// `cluster-announce-hostname`; empty for none.
    pub hostname: String,
    /// `cluster-announce-human-nodename`; empty for none.
    pub human_name: String,
    /// `cluster-preferred-endpoint-type`.
    pub endpoint_type: EndpointType,
    /// `cluster-require-full-coverage`.
    pub require_full_coverage: bool,
    /// `cluster-allow-reads-when-down`.
    pub allow_reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`.
    pub allow_pubsubshard_when_down: bool,
    /// `cluster-replica-validity-factor`; 0 means that no copy is too old.
    pub replica_validity_factor: u64,
    /// `cluster-replica-no-failover`.
    pub replica_no_failover: bool,
    /// `cluster-migration-barrier`.
    pub migration_barrier: u64,
    /// `cluster-allow-replica-migration`.
    pub allow_replica_migration: bool,
    /// `repl-ping-replica-period`, milliseconds.
    pub repl_ping_period_ms: u64,
    /// A fault that this node has on purpose, for tests of tests.
    #[cfg(feature = "mutants")]
    pub mutant: Option<Mutant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            boot_id: BootId::default(),
            cluster_id: None,
            allow_foreign_nodes: false,
            node_timeout_ms: 15_000,
            ports: Ports { plain: 6379, tls: 0 },
            tls_cluster: false,
            tls_replication: false,
            bus_port: 16379,
            announce_ip: None,
            hostname: String::new(),
            human_name: String::new(),
            endpoint_type: EndpointType::Ip,
            require_full_coverage: true,
            allow_reads_when_down: false,
            allow_pubsubshard_when_down: true,
            replica_validity_factor: 10,
            replica_no_failover: false,
            migration_barrier: 1,
            allow_replica_migration: true,
            repl_ping_period_ms: 10_000,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }
}

/// Faults on purpose: each must be found by tests/sim.
#[cfg(feature = "mutants")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Forgets that it voted in this epoch.
    VotesTwice,
    /// Sends votes and claims before they are durable.
    SendsBeforePersist,
    /// Wins with one vote less than the majority.
    WinsWithoutMajority,
    /// Takes a claim of an older configuration epoch for a newer one.
    BelievesOldEpochs,
}
