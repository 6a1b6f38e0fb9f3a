//! From configuration to a running bus thread.
//!
//! Sockets are opened first, so that a taken port ends the start before anything is written; the
//! thread starts before the data is loaded, so that a node that loads for minutes is not a dead
//! node. Not known here: what the thread does.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use holdfast_cluster::{Config as ClusterConfig, EndpointType, Millis, Node, Ports, nodes_conf};
use mio::net::TcpListener;
use mio::{Interest, Poll, Token};

use super::ToBus;
use super::links::Links;
use super::record::Record;
use super::turn::{Bus, BusClock, LISTENERS, WAKE};
use crate::config::{Config, Name};
use crate::control::Controls;
use crate::disk::fence_path;
use crate::event_loop::{ListenError, listen_at};
use crate::messages::{Outbox, ToCore, ToDisk, mailbox};
use crate::migration::Jobs;
use crate::resolver::{Answer, Resolver};
use crate::shared::Shared;

/// A bus thread that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The system refused something.
    #[error("failed to {what} for the cluster bus: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// nodes.conf cannot be understood.
    #[error("Unrecoverable error: corrupted cluster config file {path}: {source}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: nodes_conf::Error,
    },
    /// The fencing token cannot be understood.
    #[error("Unrecoverable error: corrupted file {path}: it holds no fencing token")]
    DamagedFence {
        /// Which file.
        path: String,
    },
    /// `control-port` without a password would obey anybody.
    #[error("control-port needs control-password-file")]
    NoPassword,
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Sockets and mailbox of a bus thread that does not run yet.
pub struct Parts {
    poll: Poll,
    outbox: Outbox<ToBus>,
    inbox: Receiver<ToBus>,
    bus_listeners: Vec<TcpListener>,
    control_listeners: Vec<TcpListener>,
}

impl Parts {
    /// The sending end of the thread's mailbox.
    pub fn outbox(&self) -> Outbox<ToBus> {
        self.outbox.clone()
    }
}

/// Opens the sockets. Outside a cluster there are none, and nobody reads the mailbox.
pub fn open(config: &Config) -> Result<Parts, StartError> {
    let poll = Poll::new().map_err(system("make a poll"))?;
    let waker = mio::Waker::new(poll.registry(), WAKE).map_err(system("make a waker"))?;
    let (outbox, inbox) = mailbox(Some(Arc::new(waker)));
    let (mut bus_listeners, mut control_listeners) = (Vec::new(), Vec::new());
    if config.cluster_enabled() {
        bus_listeners = listen_at(config, config.bus_port())?;
        control_listeners = listen_at(config, config.int(Name::ControlPort) as u16)?;
        if !control_listeners.is_empty() && config.text(Name::ControlPasswordFile).is_empty() {
            return Err(StartError::NoPassword);
        }
    }
    for (n, listener) in bus_listeners.iter_mut().chain(&mut control_listeners).enumerate() {
        let token = Token(LISTENERS + n);
        let registered = poll.registry().register(listener, token, Interest::READABLE);
        registered.map_err(system("watch a port"))?;
    }
    Ok(Parts { poll, outbox, inbox, bus_listeners, control_listeners })
}

/// Starts the thread, when this is a node of a cluster. The first routing is in the core's mailbox
/// when this returns.
pub fn start(
    parts: Parts,
    shared: &Arc<Shared>,
    to_core: Outbox<ToCore>,
    to_disk: Outbox<ToDisk>,
) -> Result<(), StartError> {
    let config = shared.config.load_full();
    if !config.cluster_enabled() {
        return Ok(());
    }
    let node = restore_node(shared, &config)?;
    tracing::info!("Node id is {}.", node.id());
    let registry = parts.poll.registry().try_clone().map_err(system("share a poll"))?;
    let password_file = config.text(Name::ControlPasswordFile).into();
    let controls = Controls::new(password_file, read_fence(&config)?)
        .map_err(system("read control-password-file"))?;
    let resolved = parts.outbox.clone();
    let prefer_ipv6 = announce_ip(&config).is_some_and(|ip| ip.is_ipv6());
    let resolver = Resolver::start(prefer_ipv6, move |Answer { node, ip }| {
        resolved.send(ToBus::Resolved { node, ip });
    });
    let clock = BusClock::start();
    let now_ms = clock.now_ms();
    let jobs = Jobs::new(node.id(), Arc::clone(shared), to_core.clone(), parts.outbox);
    let mut bus = Bus {
        node,
        links: Links::new(registry, source_address(&config), Arc::clone(shared)),
        controls,
        jobs,
        record: Record::default(),
        resolver: resolver.map_err(system("start a thread"))?,
        shared: Arc::clone(shared),
        to_core,
        to_disk,
        events: [holdfast_cluster::Event::Tick].into(),
        askers: std::collections::BTreeMap::new(),
        questions: std::collections::BTreeMap::new(),
        to_read: Vec::new(),
        held_answers: Vec::new(),
        next_token: 0,
        wake_at: Millis(now_ms),
        view_is_old: true,
        clock,
        now_ms,
        poll: parts.poll,
        inbox: parts.inbox,
        bus_listeners: parts.bus_listeners,
        control_listeners: parts.control_listeners,
        next_sweep_ms: 0,
        next_view_ms: 0,
    };
    bus.work_off();
    bus.show();
    let thread = std::thread::Builder::new().name("bus".to_owned()).spawn(move || bus.run());
    thread.map(drop).map_err(system("start the thread"))
}

fn restore_node(shared: &Shared, config: &Config) -> Result<Node, StartError> {
    let path = Path::new(config.text(Name::Dir)).join(config.text(Name::ClusterConfigFile));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(system("read nodes.conf")(error)),
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| system("get random bytes")(std::io::Error::other(error)))?;
    Node::new(cluster_config(shared), text.as_deref(), seed)
        .map_err(|source| StartError::Damaged { path: path.display().to_string(), source })
}

/// The highest fencing token that an earlier life of this node saw.
fn read_fence(config: &Config) -> Result<u64, StartError> {
    let path = fence_path(config);
    match std::fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| StartError::DamagedFence { path: path.display().to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(StartError::System { what: "read the fencing token", source }),
    }
}

fn announce_ip(config: &Config) -> Option<IpAddr> {
    config.text(Name::ClusterAnnounceIp).parse().ok()
}

/// The address that links come from, so that peers see the one that this node listens on.
fn source_address(config: &Config) -> Option<IpAddr> {
    let named = config.text(Name::BindSourceAddr).parse().ok();
    let listened = || {
        let first = config.text(Name::Bind).split_whitespace().next()?;
        first.trim_start_matches('-').parse().ok()
    };
    named.or_else(listened).filter(|ip: &IpAddr| !ip.is_unspecified())
}

/// The part of the configuration that the cluster value knows.
pub(super) fn cluster_config(shared: &Shared) -> ClusterConfig {
    let config = shared.config.load_full();
    let number = |name| u64::try_from(config.int(name)).unwrap_or(0);
    let port = |name, otherwise: u16| match config.int(name) {
        0 => otherwise,
        port => u16::try_from(port).unwrap_or(otherwise),
    };
    let (client_port, tls_port) = (config.int(Name::Port) as u16, config.int(Name::TlsPort) as u16);
    ClusterConfig {
        boot_id: shared.boot_id,
        cluster_id: config.text(Name::HoldfastClusterId).parse().ok(),
        allow_foreign_nodes: config.yes(Name::ClusterAllowForeignNodes),
        node_timeout_ms: number(Name::ClusterNodeTimeout),
        ports: Ports {
            plain: port(Name::ClusterAnnouncePort, client_port),
            tls: port(Name::ClusterAnnounceTlsPort, tls_port),
        },
        tls_cluster: config.yes(Name::TlsCluster),
        tls_replication: config.yes(Name::TlsReplication),
        bus_port: port(Name::ClusterAnnounceBusPort, config.bus_port()),
        announce_ip: announce_ip(&config),
        hostname: config.text(Name::ClusterAnnounceHostname).to_owned(),
        endpoint_type: match config.text(Name::ClusterPreferredEndpointType) {
            "hostname" => EndpointType::Hostname,
            "unknown-endpoint" => EndpointType::UnknownEndpoint,
            _ => EndpointType::Ip,
        },
        require_full_coverage: config.yes(Name::ClusterRequireFullCoverage),
        allow_reads_when_down: config.yes(Name::ClusterAllowReadsWhenDown),
        replica_validity_factor: number(Name::ClusterReplicaValidityFactor),
        replica_no_failover: config.yes(Name::ClusterReplicaNoFailover),
        migration_barrier: number(Name::ClusterMigrationBarrier),
        allow_replica_migration: config.yes(Name::ClusterAllowReplicaMigration),
        repl_ping_period_ms: number(Name::ReplPingReplicaPeriod) * 1000,
        ..ClusterConfig::default()
    }
}
