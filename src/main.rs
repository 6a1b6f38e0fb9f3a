//! Arguments and wiring: `holdfast run | local | node | crd`.
//!
//! Not known here: what any of them does.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use holdfast::controller::{self, LeaseSettings, Namespaces, Options};
use holdfast::log::{self, LogFormat};
use holdfast::validate::Defaults;
use tokio::signal::unix::{SignalKind, signal};

/// Runs Redis Clusters on Kubernetes without losing a key.
#[derive(Parser)]
#[command(name = "holdfast", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keeps the RedisClusters of a Kubernetes; finds its API server as kubectl does.
    Run(Box<RunArgs>),
    /// Serves a small Kubernetes API on loopback, with the operator inside and nodes as processes.
    #[cfg(feature = "local")]
    Local(holdfast::local::LocalArgs),
    /// Runs one node; what follows is redis.conf's own: a file, then `--directive value`.
    #[cfg(feature = "local")]
    #[command(disable_help_flag = true)]
    Node {
        /// A configuration file, and directives that win over it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Prints the CustomResourceDefinition.
    Crd,
}

#[derive(Args)]
struct RunArgs {
    /// Namespace whose RedisClusters are kept; may be given more than once.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE")]
    watch_namespaces: Vec<String>,
    /// Keeps the RedisClusters of all namespaces.
    #[arg(long, conflicts_with = "watch_namespaces")]
    all_namespaces: bool,
    /// Image of the nodes where an object names none, REPOSITORY:TAG.
    #[arg(long, default_value = concat!("holdfast/node:", env!("CARGO_PKG_VERSION")))]
    node_image: String,
    /// Name of the Lease by which one operator leads.
    #[arg(long, default_value = "holdfast")]
    lease_name: String,
    /// Namespace of the Lease; default: the one that the credentials belong to.
    #[arg(long)]
    lease_namespace: Option<String>,
    /// Seconds without a renewal after which another operator may lead.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=300))]
    lease_duration_seconds: u64,
    /// Seconds without a success after which the leader stops by itself.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..300))]
    renew_deadline_seconds: u64,
    /// Seconds between two renewals.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    retry_period_seconds: u64,
    /// Whether Node objects and their Leases may be read, to prove that a machine is dead.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    node_access: bool,
    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http_address: SocketAddr,
    /// Shape of the log's lines.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or per target.
    #[arg(long, default_value = "info")]
    log_level: String,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => block_on(run(*args)),
        #[cfg(feature = "local")]
        Command::Local(args) => {
            block_on(async { holdfast::local::run(args).await.map_err(|e| e.to_string()) })
        }
        #[cfg(feature = "local")]
        Command::Node { args } => {
            holdfast::local::die_with_parent();
            return holdfast_node::main_with_args(args);
        }
        Command::Crd => print_crd(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("holdfast: {why}");
            ExitCode::FAILURE
        }
    }
}

fn print_crd() -> Result<(), String> {
    let text = holdfast::api::crd_yaml().map_err(|e| format!("failed to render the CRD: {e}"))?;
    print!("{text}");
    Ok(())
}

fn block_on(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| format!("failed to start the runtime: {e}"))?
        .block_on(work)
}

async fn run(args: RunArgs) -> Result<(), String> {
    log::start(args.log_format, &args.log_level)?;
    let client = kube::Client::try_default()
        .await
        .map_err(|e| format!("failed to find the Kubernetes API: {e}"))?;
    let options = options(args, client.default_namespace())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        match wait_for_signal().await {
            Ok(name) => tracing::info!(signal = name, "A signal asked the operator to stop."),
            Err(e) => tracing::error!(error = %e, "Signals cannot be received; stopping."),
        }
        stop.send_replace(true);
    });
    controller::run(client, options, stopped).await.map_err(|e| e.to_string())
}

async fn wait_for_signal() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

fn options(args: RunArgs, default_namespace: &str) -> Result<Options, String> {
    let (node_repository, node_tag) = split_image(&args.node_image)?;
    if args.renew_deadline_seconds >= args.lease_duration_seconds {
        return Err("--renew-deadline-seconds must be below --lease-duration-seconds".to_owned());
    }
    if args.retry_period_seconds >= args.renew_deadline_seconds {
        return Err("--retry-period-seconds must be below --renew-deadline-seconds".to_owned());
    }
    let namespaces = if args.all_namespaces {
        Namespaces::All
    } else if args.watch_namespaces.is_empty() {
        Namespaces::These(vec![default_namespace.to_owned()])
    } else {
        Namespaces::These(args.watch_namespaces)
    };
    let lease = LeaseSettings {
        namespace: args.lease_namespace.unwrap_or_else(|| default_namespace.to_owned()),
        name: args.lease_name,
        identity: controller::identity(std::env::var("POD_NAME").ok()),
        duration: Duration::from_secs(args.lease_duration_seconds),
        renew_deadline: Duration::from_secs(args.renew_deadline_seconds),
        retry_period: Duration::from_secs(args.retry_period_seconds),
    };
    Ok(Options {
        namespaces,
        defaults: Defaults { node_repository, node_tag },
        lease,
        node_access: args.node_access,
        http_address: Some(args.http_address),
    })
}

/// Splits `registry:5000/holdfast/node:1.0` at the colon of the tag, not at that of a port.
fn split_image(image: &str) -> Result<(String, String), String> {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !repository.is_empty() && !tag.contains('/') => {
            Ok((repository.to_owned(), tag.to_owned()))
        }
        _ => Err(format!("--node-image {image:?} is not of the form REPOSITORY:TAG")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn an_image_is_split_at_its_tag_and_never_at_a_port() {
        let split = |image| split_image(image);
        let of = |r: &str, t: &str| Ok((r.to_owned(), t.to_owned()));
        assert_eq!(split("holdfast/node:1.0"), of("holdfast/node", "1.0"));
        assert_eq!(split("host:5000/node:1.0"), of("host:5000/node", "1.0"));
        assert!(split("host:5000/node").is_err());
        assert!(split("node").is_err());
    }

    #[test]
    fn a_leader_gives_up_before_another_may_lead() {
        let of = |deadline: &str| {
            let args = ["holdfast", "run", "--renew-deadline-seconds", deadline];
            match Cli::parse_from(args).command {
                Command::Run(args) => options(*args, "ops").map(|o| o.lease.namespace),
                _ => Err("the wrong command".to_owned()),
            }
        };
        assert_eq!(of("14"), Ok("ops".to_owned()));
        assert!(of("15").is_err());
    }
}
