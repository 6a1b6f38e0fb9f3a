//! Runs lives and says what they covered. Not known here: what a life is made of.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use holdfast_cluster::config::Mutant;
use holdfast_sim::{Coverage, live};

/// Whole clusters in virtual time, with seeded faults.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to live.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Replay one seed, printing every step.
    #[arg(long)]
    seed: Option<u64>,
    /// Break the protocol on purpose in each known way; every one must be found.
    #[arg(long)]
    mutants: bool,
}

const MUTANTS: [Mutant; 4] = [
    Mutant::VotesTwice,
    Mutant::SendsBeforePersist,
    Mutant::WinsWithoutMajority,
    Mutant::BelievesOldEpochs,
];

fn main() -> ExitCode {
    let args = Args::parse();
    let passed = match (args.seed, args.mutants) {
        (Some(seed), _) => replay(seed),
        (None, true) => find_mutants(args.first, args.seeds),
        (None, false) => run(args.first, args.seeds),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(seed: u64) -> bool {
    match live(seed, None, true) {
        Ok(coverage) => {
            println!("{coverage}");
            true
        }
        Err(failure) => {
            println!("{failure}");
            false
        }
    }
}

fn run(first: u64, seeds: u64) -> bool {
    let start = Instant::now();
    let mut coverage = Coverage::default();
    let mut failed = 0;
    for seed in first..first + seeds {
        match live(seed, None, false) {
            Ok(lived) => coverage.add(&lived),
            Err(failure) => {
                failed += 1;
                println!("{failure}");
            }
        }
    }
    println!("{coverage}");
    println!("{seeds} seeds in {:.1} s", start.elapsed().as_secs_f64());
    println!("{} passed, {failed} failed", seeds - failed);
    failed == 0
}

fn find_mutants(first: u64, seeds: u64) -> bool {
    let mut missed = 0;
    for mutant in MUTANTS {
        let found = (first..first + seeds).find_map(|seed| live(seed, Some(mutant), false).err());
        match found {
            Some(failure) => println!("{mutant:?} is found by {failure}"),
            None => {
                missed += 1;
                println!("{mutant:?} is NOT found within {seeds} seeds");
            }
        }
    }
    println!("{} passed, {missed} failed", MUTANTS.len() as u64 - missed);
    missed == 0
}
