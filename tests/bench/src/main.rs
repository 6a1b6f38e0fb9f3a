//! Starts our node and a peer on loopback, gives both the same load by turns, and prints what each
//! request cost, side by side.
//!
//!   cargo build --release -p holdfast-node
//!   cargo run --release -p holdfast-bench -- --peer valkey-server [--only get] [--json out.json]
//!
//! The server runs on one core and the load on another, both servers are primaries of the same
//! 5,461 slots, and a run of ours is followed by one of the peer's: a noisy neighbour hits both.
//! Figures are medians over the runs. A command that a server does not know is shown as missing.
//! Not known here: what a good figure is; docs/measurements.md keeps them.

mod client;
mod histogram;
mod load;
mod memory;
mod report;
mod servers;
mod workloads;

use std::path::PathBuf;

use clap::Parser;

use report::Report;
use servers::{Program, Server};

/// Whatever went wrong ends the program; the text says what it was about.
type Failure = Box<dyn std::error::Error>;

#[derive(Debug, Parser)]
#[command(about = "Our node and a peer under the same load, side by side")]
struct Args {
    /// Our node's binary.
    #[arg(long, default_value = "target/release/holdfast-node")]
    ours: PathBuf,
    /// The peer's binary: redis-server or valkey-server.
    #[arg(long, default_value = "redis-server")]
    peer: PathBuf,
    /// The first of two ports.
    #[arg(long, default_value_t = 21600)]
    port: u16,
    /// Only workloads and memory cases whose name contains this.
    #[arg(long)]
    only: Vec<String>,
    /// Seconds of one run.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Runs of each server; medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Connections of the load.
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// Keys that the load reads and writes.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The load's core.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// Leaves the memory cases out.
    #[arg(long)]
    no_memory: bool,
    /// Leaves the speed workloads out.
    #[arg(long)]
    no_speed: bool,
    /// Standalone servers instead of primaries of 5,461 slots.
    #[arg(long)]
    standalone: bool,
    /// Where the figures go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    fn programs(&self) -> [Program; 2] {
        let program = |path: &PathBuf, port| Program {
            path: path.clone(),
            port,
            core: self.server_core,
            cluster: !self.standalone,
        };
        [program(&self.ours, self.port), program(&self.peer, self.port + 1)]
    }
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    servers::pin_this_process(args.client_core)?;
    let keys = workloads::Keys::new(args.keys, !args.standalone);
    let mut report = Report::default();
    if !args.no_speed {
        for workload in workloads::all().iter().filter(|workload| args.wants(&workload.name)) {
            measure_speed(&args, workload, &keys, &mut report)?;
        }
    }
    if !args.no_memory {
        for case in memory::CASES.iter().filter(|case| args.wants(case.name)) {
            let mut both = Vec::new();
            for program in args.programs() {
                both.push(memory::measure(&program, case, &keys)?);
            }
            report.memory(case.name, &both);
        }
    }
    if let Some(path) = &args.json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}

fn measure_speed(
    args: &Args,
    workload: &workloads::Workload,
    keys: &workloads::Keys,
    report: &mut Report,
) -> Result<(), Failure> {
    let servers: Vec<Server> =
        args.programs().iter().map(Program::start).collect::<Result<_, _>>()?;
    let mut runs = [Vec::new(), Vec::new()];
    for server in &servers {
        (workload.prepare)(&mut server.client()?, keys, workload)?;
    }
    for round in 0..args.runs {
        for (server, runs) in servers.iter().zip(&mut runs) {
            let shape = load::Shape {
                connections: args.clients,
                seconds: args.seconds,
                seed: round as u64,
            };
            if let Some(run) = load::run(server, workload, keys, shape)? {
                runs.push(run);
            }
        }
    }
    report.speed(&workload.name, &runs);
    Ok(())
}
