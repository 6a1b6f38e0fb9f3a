//! Certificates: what this node shows, whom it trusts, and how both change without a restart.
//!
//! Everything is read from the files that the `tls-*` directives name, checked as a whole, and
//! published as one value; connections take the newest when they begin and keep it to their end.
//! A thread looks every second whether a file has changed (Kubernetes renews a mounted Secret in
//! place), and a set of files that does not fit together, such as a new certificate beside the old
//! key in the middle of a change, leaves the last good one in force. What OpenSSL lets one choose
//! and rustls does not (`tls-ciphers`, DH parameters) is refused, not ignored: whoever sets it
//! means to forbid something.
//!
//! Between nodes the chain and the dates are always checked; the name only where the other node
//! has announced one, since addresses of pods are no names (see [`verify`]).
//! Not known here: sockets.

mod verify;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::config::{Config, Directive, Name};
use crate::shared::Shared;

/// How often the files are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Why the files cannot be used. Each message names the directive.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A directive is needed and empty.
    #[error("No {0} configured!")]
    Missing(&'static str),
    /// A file cannot be read or holds something else.
    #[error("Failed to load {directive} {path}: {reason}")]
    File {
        /// Which directive names it.
        directive: &'static str,
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parts do not fit together.
    #[error("Failed to use {what}: {reason}")]
    Unfit {
        /// Which parts.
        what: &'static str,
        /// Why not.
        reason: String,
    },
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientProof {
    Needed,
    Optional,
    Ignored,
}

/// What the directives say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    certificate: PathBuf,
    key: PathBuf,
    client_certificate: PathBuf,
    client_key: PathBuf,
    authorities: PathBuf,
    authorities_folder: PathBuf,
    proof: ClientProof,
    peers: bool,
    checks_names: bool,
    old_protocol: bool,
    new_protocol: bool,
}

impl Settings {
    fn of(config: &Config) -> Self {
        let path = |name| PathBuf::from(config.text(name));
        let or = |path: PathBuf, other: &Path| {
            if path.as_os_str().is_empty() { other.to_owned() } else { path }
        };
        let (certificate, key) = (path(Name::TlsCertFile), path(Name::TlsKeyFile));
        let protocols = config.text(Name::TlsProtocols).to_ascii_lowercase();
        let speaks = |version: &str| {
            protocols.is_empty() || protocols.split_whitespace().any(|word| word == version)
        };
        Settings {
            client_certificate: or(path(Name::TlsClientCertFile), &certificate),
            client_key: or(path(Name::TlsClientKeyFile), &key),
            certificate,
            key,
            authorities: path(Name::TlsCaCertFile),
            authorities_folder: path(Name::TlsCaCertDir),
            proof: match config.text(Name::TlsAuthClients) {
                "no" => ClientProof::Ignored,
                "optional" => ClientProof::Optional,
                _ => ClientProof::Needed,
            },
            peers: config.yes(Name::TlsReplication) || config.yes(Name::TlsCluster),
            checks_names: config.yes(Name::TlsPeerNameCheck),
            old_protocol: speaks("tlsv1.2"),
            new_protocol: speaks("tlsv1.3"),
        }
    }

    /// When the files were last changed; unreadable ones count as never.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |path: &PathBuf| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        [
            &self.certificate,
            &self.key,
            &self.client_certificate,
            &self.client_key,
            &self.authorities,
            &self.authorities_folder,
        ]
        .map(stamp)
        .to_vec()
    }
}

/// What new connections use.
#[derive(Debug)]
pub struct Contexts {
    /// For clients that come.
    pub server: Arc<ServerConfig>,
    /// For nodes that come to the bus: they always show a certificate.
    pub bus: Arc<ServerConfig>,
    /// For those that this node opens: to its primary, on the bus, for migrations.
    pub client: Arc<ClientConfig>,
    settings: Settings,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

/// The contexts in force.
#[derive(Debug, Default)]
pub struct Tls {
    contexts: ArcSwapOption<Contexts>,
    revision: AtomicU64,
}

/// True when something of this node speaks TLS.
pub fn is_wanted(config: &Config) -> bool {
    config.int(Name::TlsPort) != 0
        || config.yes(Name::TlsReplication)
        || config.yes(Name::TlsCluster)
}

/// True when a change of this directive changes the contexts.
pub fn concerns(directive: &Directive) -> bool {
    directive.name.starts_with("tls-")
}

/// What the certificate of another node is compared with: the host name that it announced, or its
/// address, which stands for no name at all.
pub fn server_name(hostname: &str, ip: IpAddr) -> ServerName<'static> {
    ServerName::try_from(hostname.to_owned()).unwrap_or_else(|_| ServerName::from(ip))
}

impl Tls {
    /// The contexts in force; none while nothing speaks TLS.
    pub fn contexts(&self) -> Option<Arc<Contexts>> {
        self.contexts.load_full()
    }

    /// How often contexts were put in force: 1 after the start, more after each reload.
    pub fn revision(&self) -> u64 {
        self.revision.load(Relaxed)
    }

    /// Reads everything that the configuration names and puts it in force, or changes nothing.
    pub fn apply(&self, config: &Config) -> Result<(), TlsError> {
        if !is_wanted(config) {
            self.contexts.store(None);
            return Ok(());
        }
        self.put(Contexts::load(Settings::of(config))?);
        Ok(())
    }

    fn put(&self, contexts: Contexts) {
        self.contexts.store(Some(Arc::new(contexts)));
        self.revision.fetch_add(1, Relaxed);
    }

    /// Loads again what has changed on disk; true when it did.
    fn refresh(&self) -> Result<bool, TlsError> {
        let Some(now) = self.contexts() else { return Ok(false) };
        if now.settings.stamps() == now.stamps {
            return Ok(false);
        }
        self.put(Contexts::load(now.settings.clone())?);
        Ok(true)
    }
}

/// Puts the contexts in force and keeps them as new as their files, until the process ends.
pub fn start(shared: &Arc<Shared>) -> Result<(), TlsError> {
    let config = shared.config.load();
    shared.tls.apply(&config)?;
    if !is_wanted(&config) {
        return Ok(());
    }
    let watched = Arc::clone(shared);
    let watch = move || {
        let mut told = String::new();
        loop {
            std::thread::sleep(LOOK_PERIOD);
            match watched.tls.refresh() {
                Ok(false) => {}
                Ok(true) => {
                    told.clear();
                    let revision = watched.tls.revision();
                    tracing::info!("The certificates were read anew, revision {revision}.");
                }
                // The same trouble is told once, not every second.
                Err(error) if error.to_string() != told => {
                    told = error.to_string();
                    tracing::warn!("{told}. The last good certificates stay in force.");
                }
                Err(_) => {}
            }
        }
    };
    let thread = std::thread::Builder::new().name("certificates".into()).spawn(watch);
    thread.map(drop).map_err(|error| TlsError::Unfit {
        what: "a thread for the certificates",
        reason: error.to_string(),
    })
}

impl Contexts {
    fn load(settings: Settings) -> Result<Self, TlsError> {
        // Before the files: a change while they are read is seen at the next look.
        let stamps = settings.stamps();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(authorities(&settings)?);
        let server = Arc::new(server_config(&settings, settings.proof, &provider, &roots)?);
        let bus = if settings.peers && settings.proof != ClientProof::Needed {
            Arc::new(server_config(&settings, ClientProof::Needed, &provider, &roots)?)
        } else {
            Arc::clone(&server)
        };
        let client = client_config(&settings, &provider, roots)?;
        Ok(Contexts { server, bus, client: Arc::new(client), settings, stamps })
    }
}

fn versions(settings: &Settings) -> Vec<&'static SupportedProtocolVersion> {
    let mut all = Vec::new();
    all.extend(settings.new_protocol.then_some(&TLS13));
    all.extend(settings.old_protocol.then_some(&TLS12));
    all
}

fn unfit(what: &'static str) -> impl FnOnce(rustls::Error) -> TlsError {
    move |error| TlsError::Unfit { what, reason: error.to_string() }
}

fn server_config(
    settings: &Settings,
    proof: ClientProof,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
) -> Result<ServerConfig, TlsError> {
    let chain = certificates("tls-cert-file", &settings.certificate)?;
    let key = private_key("tls-key-file", &settings.key)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions(settings))
        .map_err(unfit("tls-protocols"))?;
    let builder = if proof == ClientProof::Ignored {
        builder.with_no_client_auth()
    } else {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
        let verifier = match proof {
            ClientProof::Optional => verifier.allow_unauthenticated(),
            ClientProof::Needed | ClientProof::Ignored => verifier,
        };
        let verifier = verifier.build().map_err(|error| TlsError::Unfit {
            what: "tls-ca-cert-file for clients' certificates",
            reason: error.to_string(),
        })?;
        builder.with_client_cert_verifier(verifier)
    };
    builder.with_single_cert(chain, key).map_err(unfit("tls-cert-file with tls-key-file"))
}

fn client_config(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
) -> Result<ClientConfig, TlsError> {
    let chain = certificates("tls-client-cert-file", &settings.client_certificate)?;
    let key = private_key("tls-client-key-file", &settings.client_key)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions(settings))
        .map_err(unfit("tls-protocols"))?;
    let builder = if roots.is_empty() {
        // Without an authority nobody can be trusted, and this node opens no TLS connection.
        builder.with_root_certificates(roots)
    } else {
        let verifier = verify::PeerVerifier::new(roots, provider, settings.checks_names)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    };
    builder
        .with_client_auth_cert(chain, key)
        .map_err(unfit("tls-client-cert-file with tls-client-key-file"))
}

/// The certificates in which this node trusts.
fn authorities(settings: &Settings) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut files = Vec::new();
    if !settings.authorities.as_os_str().is_empty() {
        files.push(("tls-ca-cert-file", settings.authorities.clone()));
    }
    if !settings.authorities_folder.as_os_str().is_empty() {
        let folder = std::fs::read_dir(&settings.authorities_folder);
        let folder = folder.map_err(|error| TlsError::File {
            directive: "tls-ca-cert-dir",
            path: settings.authorities_folder.display().to_string(),
            reason: error.to_string(),
        })?;
        let inside = folder.filter_map(Result::ok).map(|entry| entry.path());
        files.extend(inside.filter(|path| path.is_file()).map(|path| ("tls-ca-cert-dir", path)));
    }
    for (directive, path) in files {
        for certificate in certificates(directive, &path)? {
            roots.add(certificate).map_err(|error| TlsError::File {
                directive,
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
        }
    }
    let is_needed = settings.peers || settings.proof != ClientProof::Ignored;
    if is_needed && roots.is_empty() {
        return Err(TlsError::Missing(
            "tls-ca-cert-file or tls-ca-cert-dir, which tls-cluster, tls-replication and \
             tls-auth-clients need,",
        ));
    }
    Ok(roots)
}

fn certificates(
    directive: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    if path.as_os_str().is_empty() {
        return Err(TlsError::Missing(directive));
    }
    let failed =
        |reason: String| TlsError::File { directive, path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| failed(error.to_string()))?;
    if all.is_empty() {
        return Err(failed("it holds no certificate".to_owned()));
    }
    Ok(all)
}

fn private_key(directive: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    if path.as_os_str().is_empty() {
        return Err(TlsError::Missing(directive));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        directive,
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
