//! The slow log: the last commands that took long, with their arguments cut short; and the time
//! that turns of the core take.
//!
//! Not known here: why they took long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::commands::Command;
use crate::config::table;
use crate::config::{Config, Name};
use crate::stats::Stats;

/// A turn that takes longer is told with its parts when the log is told everything.
const LONG_TURN: Duration = Duration::from_millis(20);
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Debug, Clone)]
pub struct SlowCommand {
    /// Rising number.
    pub id: u64,
    /// Unix time in seconds.
    pub at_s: i64,
    /// How long it took.
    pub micros: u64,
    /// The request, cut short.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The slow log.
#[derive(Debug, Default)]
pub struct Latency {
    entries: VecDeque<SlowCommand>,
    next_id: u64,
    threshold_micros: Option<u64>,
    entries_max: usize,
}

impl Latency {
    /// Takes threshold and length from the configuration.
    pub fn configure(&mut self, config: &Config) {
        self.threshold_micros = u64::try_from(config.int(Name::SlowlogLogSlowerThan)).ok();
        self.entries_max = config.size(Name::SlowlogMaxLen);
        self.entries.truncate(self.entries_max);
    }

    /// True when a command that took this long belongs into the log.
    pub fn is_slow(&self, micros: u64) -> bool {
        self.entries_max > 0 && self.threshold_micros.is_some_and(|least| micros >= least)
    }

    /// Adds a command.
    pub fn add(&mut self, at_s: i64, micros: u64, args: &[&[u8]], address: &str, name: &[u8]) {
        let id = self.next_id;
        self.next_id += 1;
        let entry = SlowCommand {
            id,
            at_s,
            micros,
            args: shortened(args),
            address: address.to_owned(),
            name: name.to_vec(),
        };
        self.entries.push_front(entry);
        self.entries.truncate(self.entries_max);
    }

    /// The newest first.
    pub fn entries(&self) -> &VecDeque<SlowCommand> {
        &self.entries
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Times one turn of the core, and at log level `debug` its parts, too.
#[derive(Debug)]
pub struct Stopwatch {
    began: Instant,
    /// Names of the parts and when each was over, by the thread's own clock, which stands still
    /// while the thread must wait for a processor; kept only for the log.
    parts: Option<Vec<(&'static str, Duration)>>,
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Stopwatch {
    /// The turn begins.
    pub fn start() -> Self {
        let is_wanted = tracing::enabled!(tracing::Level::DEBUG);
        let parts = is_wanted.then(|| vec![("", thread_time())]);
        Stopwatch { began: Instant::now(), parts }
    }

    /// A part of the turn is over.
    pub fn passed(&mut self, part: &'static str) {
        if let Some(parts) = &mut self.parts {
            parts.push((part, thread_time()));
        }
    }

    /// The turn is over.
    pub fn stop(mut self, stats: &Stats) {
        self.passed("replies");
        let took = self.began.elapsed();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        stats.turns.add(1);
        stats.turns_us.add(micros);
        stats.longest_turn_us.max(i64::try_from(micros).unwrap_or(i64::MAX));
        if took >= LONG_TURN
            && let Some(parts) = self.parts
        {
            tracing::debug!("A turn of the core took {micros} microseconds{}", in_words(&parts));
        }
    }
}

/// `, of them <n> at work: <part> <n> ...`, in microseconds.
fn in_words(parts: &[(&'static str, Duration)]) -> String {
    let between = |from: Option<&(&str, Duration)>, to: Option<&(&str, Duration)>| {
        to.zip(from).map_or(0, |(to, from)| to.1.saturating_sub(from.1).as_micros())
    };
    let mut text = format!(", of them {} at work:", between(parts.first(), parts.last()));
    for pair in parts.windows(2) {
        let name = pair.last().map_or("", |(name, _)| name);
        text.push_str(&format!(" {name} {}", between(pair.first(), pair.last())));
    }
    text
}

/// The request without its passwords.
pub fn redacted<'a>(command: &Command, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut all = args.to_vec();
    let mut hide = |at: usize| {
        if let Some(arg) = all.get_mut(at) {
            *arg = b"(redacted)";
        }
    };
    let places = |word: &'static [u8]| {
        let is_word = move |arg: &&[u8]| arg.eq_ignore_ascii_case(word);
        args.iter().enumerate().filter(move |(_, arg)| is_word(arg)).map(|(at, _)| at)
    };
    match (command.container, command.name) {
        ("", "auth") => (1..args.len()).for_each(hide),
        ("", "hello") => places(b"auth").for_each(|at| {
            hide(at + 1);
            hide(at + 2);
        }),
        ("", "migrate") => {
            places(b"auth").for_each(|at| hide(at + 1));
            places(b"auth2").for_each(|at| {
                hide(at + 1);
                hide(at + 2);
            });
        }
        ("config", "set") => {
            for at in (2..args.len()).step_by(2) {
                let name = String::from_utf8_lossy(args.get(at).copied().unwrap_or_default());
                if table::find(&name).is_some_and(|directive| directive.is_secret()) {
                    hide(at + 1);
                }
            }
        }
        _ => {}
    }
    all
}

fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut all: Vec<Vec<u8>> = Vec::with_capacity(kept + 1);
    for arg in args.iter().take(kept) {
        let mut text = arg.get(..ARG_BYTES_MAX).unwrap_or(arg).to_vec();
        if arg.len() > ARG_BYTES_MAX {
            let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
            text.extend_from_slice(more.as_bytes());
        }
        all.push(text);
    }
    if args.len() > kept {
        all.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    all
}
