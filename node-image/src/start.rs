//! From arguments to a running node.
//!
//! Order matters: configuration, log, sockets (a taken port ends the start before anything is
//! written), data directory, disk thread, bus thread (so that a node that loads for minutes is not
//! a dead node), data, clients. Not known here: what the parts do.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use holdfast_store::limits::HashSeed;
use holdfast_store::store::{Store, StoreConfig};
use holdfast_wire::id::BootId;
use holdfast_wire::state::BootState;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::clock::unix_ms;
use crate::config::{Config, Name, file};
use crate::core::{Core, Parts};
use crate::event_loop::{EventLoop, MAILBOX, listen, listen_secured};
use crate::messages::{Outbox, ToCore, mailbox};
use crate::shared::Shared;
use crate::{REDIS_VERSION, VERSION, admin, aof, bus, disk, logging, tls};

/// A node that cannot start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("failed to {what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    #[error("Can't chdir to '{0}': it is not a directory")]
    NoDirectory(String),
    #[error("{0}")]
    Listen(#[from] crate::event_loop::ListenError),
    #[error("{0}")]
    Bus(#[from] bus::StartError),
    #[error("{0}")]
    Load(#[from] aof::boot::BootError),
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    #[error("{0}")]
    Users(#[from] crate::acl::FileError),
    #[error("{0}")]
    Other(String),
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs a node to its end. `args` are those behind the program's name.
pub fn main_with_args(args: Vec<String>) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("--version" | "-v") => {
            println!("holdfast-node v={VERSION} redis={REDIS_VERSION}");
            return ExitCode::SUCCESS;
        }
        Some("--help" | "-h") => {
            println!("Usage: holdfast-node [CONFIG_FILE] [--directive value ...]");
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let config = match file::from_args(&args) {
        Ok(config) => config,
        Err(error) => {
            // Nothing can be done when standard error is closed, either.
            let _ = writeln!(std::io::stderr(), "{error}");
            return ExitCode::FAILURE;
        }
    };
    let log = match logging::start(&config) {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Can't open the log file: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(config, log) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config, log: logging::Log) -> Result<u8, StartError> {
    tracing::info!(
        "Holdfast {VERSION} starting, Redis version={REDIS_VERSION}, PID: {}",
        std::process::id()
    );
    let listeners = listen(&config).inspect_err(|_| {
        tracing::warn!("Failed listening on port {} (TCP), aborting.", config.int(Name::Port));
    })?;
    let secured = listen_secured(&config).inspect_err(|_| {
        tracing::warn!("Failed listening on port {} (TLS), aborting.", config.int(Name::TlsPort));
    })?;
    let config = prepare_directory(config)?;
    write_pid_file(&config);
    let poll = mio::Poll::new().map_err(system("make a poll"))?;
    let waker = mio::Waker::new(poll.registry(), MAILBOX).map_err(system("make a waker"))?;
    let registry = poll.registry().try_clone().map_err(system("share a poll"))?;
    let (to_core, core_mailbox) = mailbox(Some(Arc::new(waker)));
    let seed = random::<16>()?;
    let store = Store::new(StoreConfig {
        databases: if config.cluster_enabled() { 1 } else { config.size(Name::Databases) },
        cluster: config.cluster_enabled(),
        seed: HashSeed(seed),
    });
    let config = Arc::new(config);
    let (boot_id, run_id) = (BootId(random::<16>()?), hex(&random::<20>()?));
    let shared = Arc::new(Shared::new(Arc::clone(&config), boot_id, run_id, unix_ms(), log));
    let (to_disk, disk_mailbox) = mailbox(None);
    tls::start(&shared).inspect_err(|_| {
        tracing::warn!("Failed to configure TLS. Check logs for more info.");
    })?;
    let bus_parts = bus::open(&config)?;
    let to_bus = bus_parts.outbox();
    let waiting = Arc::clone(&shared.stats.aof_waiting_bytes);
    disk::start(&config, disk_mailbox, to_core.clone(), Some(to_bus.clone()), waiting)
        .map_err(system("start the disk thread"))?;
    watch_signals(to_core.clone())?;
    let mut core = Core::new(Parts {
        shared: Arc::clone(&shared),
        store,
        to_bus,
        to_disk: to_disk.clone(),
        to_core: to_core.clone(),
        registry,
        now_ms: unix_ms() as i64,
    });
    crate::acl::load_at_start(&mut core)?;
    bus::start(bus_parts, &shared, to_core, to_disk)?;
    admin::start_for(&shared).map_err(system("start the admin port"))?;
    let mut event_loop = EventLoop::new(poll, core_mailbox);
    event_loop.serve(&mut core, listeners, false).map_err(system("watch the client port"))?;
    event_loop.serve(&mut core, secured, true).map_err(system("watch the TLS port"))?;
    load(&mut core, &mut event_loop)?;
    tracing::info!("Ready to accept connections");
    Ok(event_loop.run(&mut core))
}

/// Reads the data, while clients are told that it is being read.
fn load(core: &mut Core, event_loop: &mut EventLoop) -> Result<(), StartError> {
    core.shared.stats.loading.set(1);
    tracing::info!("Server initialized");
    aof::load(core, &mut |core| event_loop.turn(core, Some(0)))?;
    core.shared.stats.loading.set(0);
    if core.shared.boot() == BootState::Loading {
        core.shared.set_boot(BootState::Ready);
    }
    core.choose_expiry_rule();
    Ok(())
}

/// `dir` becomes absolute: everything below it is found although somebody changes directory.
fn prepare_directory(mut config: Config) -> Result<Config, StartError> {
    let text = config.text(Name::Dir).to_owned();
    let path = std::path::absolute(&text).map_err(system("find the data directory"))?;
    if !path.is_dir() {
        return Err(StartError::NoDirectory(text));
    }
    if let Some(directive) = crate::config::table::find("dir") {
        let path = path.to_string_lossy();
        config.set(directive, &[&path]).map_err(StartError::Other)?;
    }
    Ok(config)
}

fn write_pid_file(config: &Config) {
    let path = config.text(Name::Pidfile);
    if !path.is_empty()
        && let Err(error) = std::fs::write(Path::new(path), format!("{}\n", std::process::id()))
    {
        tracing::warn!("failed to write the pid file {path}: {error}");
    }
}

/// The first signal asks the core to end the node in an orderly way, the second ends it.
fn watch_signals(to_core: Outbox<ToCore>) -> Result<(), StartError> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(system("watch signals"))?;
    let watch = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                tracing::warn!("You insist... exiting now.");
                std::process::exit(1);
            }
            let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
            tracing::warn!("Received {name} scheduling shutdown...");
            to_core.send(ToCore::Signal);
        }
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(watch);
    thread.map(drop).map_err(system("start the signal thread"))
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| StartError::Other(format!("failed to get random bytes: {e}")))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
