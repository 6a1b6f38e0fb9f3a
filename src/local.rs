//! `holdfast local`: an embedded Kubernetes on loopback, the operator inside, nodes as children.
//!
//! ```text
//!   http.rs  <-- kubectl, the operator        stateful_set.rs: pods and claims
//!      \            |                         kubelet.rs: pods as processes
//!       '-------- api.rs (the store) --------'
//! ```
//! Everything lies below one folder: `kubeconfig`, `logs/`, `volumes/`, `pods/`, `operator.log`,
//! and, where the folder is named by `--dir`, `api.json`, so that a later start goes on. It is
//! for trying out and for tests; production is a real Kubernetes. Linux only; there is no DNS, so
//! clients are led by address. Not known here: how clusters are kept.

pub mod api;
pub mod http;
pub mod kubeconfig;
pub mod kubelet;
pub mod logs;
pub mod manifest;
pub mod progress;
pub mod stateful_set;
pub mod world;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::{Api, now_ms};
use kubeconfig::Credentials;
use progress::Printer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::controller::{self, ControllerError, LeaseSettings, Namespaces, Options};
use crate::validate::Defaults;

/// Tells a child who its parent is; see [`die_with_parent`].
pub const PARENT_VARIABLE: &str = "HOLDFAST_LOCAL_PARENT";

/// How often a named folder's `api.json` follows the changes.
const SAVE_PERIOD: Duration = Duration::from_secs(1);

/// Arguments of `holdfast local`.
#[derive(Debug, Clone, clap::Args)]
pub struct LocalArgs {
    /// Manifests to apply at the start.
    pub manifests: Vec<PathBuf>,
    /// Folder for the kubeconfig and the nodes' data; a later start with it goes on where this
    /// one ended. Default: a temporary folder that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Port of the API on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
}

/// Why `holdfast local` did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file or folder could not be had.
    #[error("failed to use {path}: {source}")]
    Folder {
        /// What was to be used.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A manifest could not be read or was refused.
    #[error("failed to apply {file}: {what}")]
    Manifest {
        /// The file.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// Certificate or token could not be made.
    #[error("failed to make credentials: {0}")]
    Credentials(String),
    /// The embedded API could not be set up.
    #[error("failed to set up the embedded API: {0}")]
    Api(#[from] holdfast_api_store::Failure),
    /// The operator could not be connected to the embedded API.
    #[error("failed to connect to the embedded API: {0}")]
    Client(String),
    /// The operator could not start.
    #[error("failed to start the operator: {0}")]
    Operator(#[from] ControllerError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LocalError + '_ {
    |source| LocalError::Folder { path: path.to_owned(), source }
}

/// Starts everything, applies the manifests, shows progress, and runs until SIGINT or SIGTERM.
pub async fn run(args: LocalArgs) -> Result<(), LocalError> {
    let folder = Folder::open(args.dir.as_deref())?;
    log_to(&folder.path.join("operator.log"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(at(&folder.path))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(at(&folder.path))?;
    let kubernetes = Kubernetes::start(&folder, args.port, own_node_program()?).await?;
    let (stop_operator, operator) = start_operator(&kubernetes).await?;
    let outcome = match manifest::apply(&kubernetes.api, &args.manifests) {
        Ok(names) => {
            for name in names {
                eprintln!("{name} applied");
            }
            tokio::select! {
                () = show(&kubernetes) => Ok(()),
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
            }
        }
        Err(e) => Err(e),
    };
    eprintln!("\nStopping.");
    // The operator goes first, so that it does not mourn the nodes.
    stop_operator.send_replace(true);
    let ended = operator.await;
    kubernetes.stop(&folder).await;
    folder.close();
    outcome?;
    match ended {
        Ok(ended) => Ok(ended?),
        Err(e) => Err(LocalError::Client(format!("the operator broke: {e}"))),
    }
}

/// Shows progress until all is Ready, then how to use it; never returns.
async fn show(kubernetes: &Kubernetes) {
    let mut printer = Printer::default();
    let mut changes = kubernetes.api.changes();
    let mut told = false;
    loop {
        changes.mark_unchanged();
        let progress = progress::look(&kubernetes.api);
        if !told {
            printer.show(&progress.line);
        }
        if progress.ready && !told {
            told = true;
            printer.finish();
            println!("{}", progress::usage(&kubernetes.api, &kubernetes.kubeconfig));
        }
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// This program with `node`, or what a test says.
fn own_node_program() -> Result<Vec<PathBuf>, LocalError> {
    let own = std::env::current_exe().map_err(at(Path::new("/proc/self/exe")))?;
    Ok(vec![own, PathBuf::from("node")])
}

fn log_to(path: &Path) -> Result<(), LocalError> {
    let file = File::options().create(true).append(true).open(path).map_err(at(path))?;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second start in one process, as in tests, keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Arc::new(file))
        .try_init();
    Ok(())
}

async fn start_operator(
    kubernetes: &Kubernetes,
) -> Result<(watch::Sender<bool>, JoinHandle<Result<(), ControllerError>>), LocalError> {
    let client = kubernetes.client().await?;
    let options = Options {
        namespaces: Namespaces::All,
        defaults: Defaults {
            node_repository: "holdfast/node".to_owned(),
            node_tag: env!("CARGO_PKG_VERSION").to_owned(),
        },
        lease: LeaseSettings {
            namespace: "default".to_owned(),
            name: "holdfast".to_owned(),
            identity: controller::identity(None),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        },
        node_access: true,
        http_address: None,
    };
    let (stop, stopped) = watch::channel(false);
    Ok((stop, tokio::spawn(controller::run(client, options, stopped))))
}

/// The folder that everything lies in.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// Makes the folder; one without a name is temporary.
    pub fn open(named: Option<&Path>) -> Result<Self, LocalError> {
        let (path, temporary) = match named {
            Some(path) => (std::path::absolute(path).map_err(at(path))?, false),
            None => {
                let random = kubeconfig::random_hex(6)
                    .map_err(|e| LocalError::Credentials(e.to_string()))?;
                (std::env::temp_dir().join(format!("holdfast-local-{random}")), true)
            }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(at(&path))?;
        Ok(Self { path, temporary })
    }

    fn close(&self) {
        if self.temporary
            && let Err(e) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(error = %e, "The temporary folder stays.");
        }
    }
}

/// A running embedded Kubernetes, without an operator.
pub struct Kubernetes {
    /// Its store.
    pub api: Api,
    /// Its kubeconfig file.
    pub kubeconfig: PathBuf,
    stop_kubelet: watch::Sender<bool>,
    kubelet: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Kubernetes {
    /// Starts API, controllers and kubelet.
    pub async fn start(
        folder: &Folder,
        port: u16,
        node_program: Vec<PathBuf>,
    ) -> Result<Self, LocalError> {
        let api = Api::new(open_store(folder)?);
        let credentials = Credentials::generate()?;
        let wished = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listening = Path::new("the API's port");
        let listener = TcpListener::bind(wished).await.map_err(at(listening))?;
        let address = listener.local_addr().map_err(at(listening))?;
        let file = folder.path.join("kubeconfig");
        let content = serde_norway::to_string(&credentials.kubeconfig(address))
            .map_err(|e| LocalError::Credentials(e.to_string()))?;
        kubeconfig::write_private(&file, content.as_bytes()).map_err(at(&file))?;

        let settings = kubelet::Settings { node_program, folder: folder.path.clone() };
        let door = http::Door {
            api: api.clone(),
            token: credentials.token.clone(),
            logs: settings.logs(),
        };
        let (stop_kubelet, stopped) = watch::channel(false);
        let mut tasks = vec![
            tokio::spawn(http::serve(listener, credentials.tls.clone(), Arc::new(door))),
            tokio::spawn(stateful_set::run(api.clone())),
        ];
        if !folder.temporary {
            tasks.push(tokio::spawn(save_often(api.clone(), folder.path.join("api.json"))));
        }
        let kubelet = tokio::spawn(kubelet::run(api.clone(), settings, stopped));
        Ok(Self { api, kubeconfig: file, stop_kubelet, kubelet, tasks })
    }

    /// A client with the kubeconfig's rights.
    pub async fn client(&self) -> Result<kube::Client, LocalError> {
        let fail = |e: &dyn std::fmt::Display| LocalError::Client(e.to_string());
        let kubeconfig =
            kube::config::Kubeconfig::read_from(&self.kubeconfig).map_err(|e| fail(&e))?;
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|e| fail(&e))?;
        kube::Client::try_from(config).map_err(|e| fail(&e))
    }

    /// Ends every child, then the API.
    pub async fn stop(self, folder: &Folder) {
        self.stop_kubelet.send_replace(true);
        if let Err(e) = self.kubelet.await {
            tracing::error!(error = %e, "The embedded kubelet broke.");
        }
        for task in self.tasks {
            task.abort();
        }
        if !folder.temporary {
            save(&self.api, &folder.path.join("api.json"));
        }
    }
}

fn open_store(folder: &Folder) -> Result<holdfast_api_store::ApiStore, LocalError> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|e| LocalError::Credentials(e.to_string()))?;
    let mut store = world::empty_store(u64::from_le_bytes(seed));
    let file = folder.path.join("api.json");
    match fs::read(&file) {
        Ok(saved) => {
            let saved = serde_json::from_slice(&saved)
                .map_err(|e| at(&file)(io::Error::new(io::ErrorKind::InvalidData, e)))?;
            store.restore(&saved, now_ms());
            world::forget_lives(&mut store, now_ms())?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(at(&file)(e)),
    }
    world::furnish(&mut store, now_ms())?;
    Ok(store)
}

async fn save_often(api: Api, file: PathBuf) {
    let mut changes = api.changes();
    while changes.changed().await.is_ok() {
        tokio::time::sleep(SAVE_PERIOD).await;
        changes.mark_unchanged();
        save(&api, &file);
    }
}

fn save(api: &Api, file: &Path) {
    let saved = api.read(holdfast_api_store::ApiStore::save).to_string();
    if let Err(e) = kubeconfig::write_private(file, saved.as_bytes()) {
        tracing::warn!(error = %e, "The embedded API's objects could not be saved.");
    }
}

/// For a child of the embedded kubelet: end when the parent ends, however it ends. Called before
/// the node starts; does nothing in a process that no kubelet started.
pub fn die_with_parent() {
    let Ok(parent) = std::env::var(PARENT_VARIABLE) else { return };
    let asked =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let current = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    // The parent may have ended before the signal was asked for.
    if asked.is_err() || current.as_deref() != Some(parent.as_str()) {
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests;
