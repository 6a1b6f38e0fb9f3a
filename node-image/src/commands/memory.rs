//! MEMORY DOCTOR and STATS: what the memory is used for.
//!
//! The data set is counted by the store, the process by the kernel. What Redis tells of its
//! allocator is not shown: this one does not tell it. Not known here: how the store counts.

use super::info::kernel_bytes;
use super::{CommandError, Ctx, Outcome};
use crate::clients::ClientKind;
use crate::core::Core;

/// Below this much data every ratio is noise.
const TELLING_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// Resident or peak bytes for each byte in use, above which it is worth a word.
const ODD_RATIO: f64 = 1.5;

/// Bytes of a client's buffers above which they are worth a word.
const ODD_CLIENT_BYTES: usize = 32 * 1024 * 1024;

struct Figures {
    data: u64,
    peak: u64,
    resident: u64,
    keys: u64,
    backlog: u64,
    of_replicas: u64,
    of_clients: u64,
    largest_client: usize,
    scripts: u64,
}

impl Figures {
    fn read(core: &Core) -> Self {
        let data = core.store.used_bytes() as u64;
        let (mut of_replicas, mut of_clients, mut largest_client) = (0, 0, 0);
        for client in core.clients.iter() {
            let bytes = client.memory_bytes();
            largest_client = largest_client.max(bytes);
            match client.kind {
                ClientKind::Replica => of_replicas += bytes as u64,
                _ => of_clients += bytes as u64,
            }
        }
        let databases = core.store.config().databases;
        Figures {
            data,
            peak: core.shared.stats.used_bytes_peak.get().max(data as i64) as u64,
            resident: kernel_bytes("/proc/self/status", "VmRSS:"),
            keys: (0..databases).map(|db| core.store.len(db) as u64).sum(),
            backlog: core.log.len() as u64,
            of_replicas,
            of_clients,
            largest_client,
            scripts: (core.scripts.lua_bytes() + core.scripts.cached_bytes()) as u64,
        }
    }

    fn overhead(&self) -> u64 {
        self.backlog + self.of_replicas + self.of_clients + self.scripts
    }

    fn ratio(part: u64, whole: u64) -> f64 {
        part as f64 / whole.max(1) as f64
    }
}

/// `MEMORY STATS`
pub(super) fn stats(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let figures = Figures::read(ctx.core);
    let total = figures.data + figures.overhead();
    let numbers = [
        ("peak.allocated", figures.peak.max(total)),
        ("total.allocated", total),
        ("replication.backlog", figures.backlog),
        ("clients.slaves", figures.of_replicas),
        ("clients.normal", figures.of_clients),
        ("lua.caches", figures.scripts),
        ("overhead.total", figures.overhead()),
        ("keys.count", figures.keys),
        ("keys.bytes-per-key", figures.data / figures.keys.max(1)),
        ("dataset.bytes", figures.data),
    ];
    let ratios = [
        ("dataset.percentage", Figures::ratio(figures.data, total) * 100.0),
        ("peak.percentage", Figures::ratio(total, figures.peak.max(total)) * 100.0),
        ("fragmentation", Figures::ratio(figures.resident, total)),
    ];
    ctx.reply.map(numbers.len() + ratios.len() + 1);
    for (name, number) in numbers {
        ctx.reply.bulk_str(name);
        ctx.reply.integer(number as i64);
    }
    for (name, ratio) in ratios {
        ctx.reply.bulk_str(name);
        ctx.reply.double(ratio);
    }
    ctx.reply.bulk_str("fragmentation.bytes");
    ctx.reply.integer(figures.resident as i64 - total as i64);
    Ok(Outcome::Done)
}

/// `MEMORY DOCTOR`
pub(super) fn doctor(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let words = advice(&Figures::read(ctx.core));
    ctx.reply.verbatim(*b"txt", words.as_bytes());
    Ok(Outcome::Done)
}

fn advice(figures: &Figures) -> String {
    let total = figures.data + figures.overhead();
    if total < TELLING_BYTES_MIN {
        return "There is too little in memory to say anything about it.".to_owned();
    }
    let mut words = Vec::new();
    if Figures::ratio(figures.peak, total) > ODD_RATIO {
        words.push(format!(
            "The data set was {} bytes large once and is smaller now; the process may keep memory \
             of that time.",
            figures.peak
        ));
    }
    if Figures::ratio(figures.resident, total) > ODD_RATIO {
        words.push(format!(
            "The process holds {} bytes, much more than the {total} that are counted: memory is \
             fragmented, or was used by something that has ended.",
            figures.resident
        ));
    }
    if figures.largest_client > ODD_CLIENT_BYTES {
        words.push(format!(
            "A client's buffers hold {} bytes; CLIENT LIST shows which.",
            figures.largest_client
        ));
    }
    if words.is_empty() { "Nothing about the memory is odd.".to_owned() } else { words.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_speaks_of_what_is_odd_and_only_then() {
        let healthy = Figures {
            data: 100 << 20,
            peak: 110 << 20,
            resident: 120 << 20,
            keys: 1,
            backlog: 0,
            of_replicas: 0,
            of_clients: 0,
            largest_client: 0,
            scripts: 0,
        };
        assert_eq!(advice(&healthy), "Nothing about the memory is odd.");
        let shrunk = Figures { peak: 900 << 20, resident: 800 << 20, ..healthy };
        assert_eq!(advice(&shrunk).lines().count(), 2);
        assert!(advice(&Figures { data: 1, resident: 9 << 30, ..shrunk }).contains("too little"));
    }
}
