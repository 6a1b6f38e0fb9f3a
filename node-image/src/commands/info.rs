//! INFO: the node in numbers, section by section.
//!
//! Sections of persistence and replication are written by their owners. Not known here: how the
//! numbers come about.

use std::fmt::Write as _;

use super::{Categories, Command, CommandError, Ctx, Flags, Group, Outcome};
use crate::config::Name;
use crate::core::Core;
use crate::{REDIS_VERSION, VERSION};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "info",
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE),
    extra_categories: Categories::DANGEROUS,
    since: "1.0.0",
    summary: "Returns information and statistics about the server.",
    group: Group::Server,
    complexity: "O(1)",
    handler: info,
    ..Command::BLANK
}];

/// A section: its name, whether it is shown without being asked for, and who writes it.
struct Section {
    name: &'static str,
    title: &'static str,
    default: bool,
    write: fn(&mut Core, &mut String),
}

const SECTIONS: &[Section] = &[
    Section { name: "server", title: "Server", default: true, write: server },
    Section { name: "clients", title: "Clients", default: true, write: clients },
    Section { name: "memory", title: "Memory", default: true, write: memory },
    Section {
        name: "persistence",
        title: "Persistence",
        default: true,
        write: |core, out| crate::aof::append_info(core, out),
    },
    Section { name: "stats", title: "Stats", default: true, write: stats },
    Section {
        name: "replication",
        title: "Replication",
        default: true,
        write: |core, out| crate::replication::append_info(core, out),
    },
    Section { name: "cpu", title: "CPU", default: true, write: cpu },
    Section { name: "modules", title: "Modules", default: true, write: |_, _| {} },
    Section { name: "commandstats", title: "Commandstats", default: false, write: commandstats },
    Section { name: "errorstats", title: "Errorstats", default: true, write: errorstats },
    Section { name: "cluster", title: "Cluster", default: true, write: cluster },
    Section { name: "keyspace", title: "Keyspace", default: true, write: keyspace },
];

fn info(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let asked: Vec<String> =
        args.iter().skip(1).map(|arg| String::from_utf8_lossy(arg).to_ascii_lowercase()).collect();
    let wanted = |section: &Section| {
        let by_default =
            section.default && (asked.is_empty() || asked.iter().any(|word| word == "default"));
        by_default
            || asked
                .iter()
                .any(|word| word == section.name || word == "all" || word == "everything")
    };
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| wanted(section)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {}\r\n", section.title);
        (section.write)(ctx.core, &mut text);
    }
    ctx.reply.verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn server(core: &mut Core, out: &mut String) {
    let shared = &core.shared;
    let uptime_s = (core.now_ms as u64).saturating_sub(shared.started_ms) / 1000;
    let mode = if core.is_cluster() { "cluster" } else { "standalone" };
    let config_file = core.config.path.as_ref().map(|path| path.display().to_string());
    let executable = std::env::current_exe().map(|path| path.display().to_string());
    let _ = write!(
        out,
        "redis_version:{REDIS_VERSION}\r\nholdfast_version:{VERSION}\r\nredis_git_sha1:00000000\
         \r\nredis_git_dirty:0\r\nredis_mode:{mode}\r\nos:{}\r\narch_bits:{}\r\n\
         multiplexing_api:epoll\r\nprocess_id:{}\r\nrun_id:{}\r\nboot_id:{}\r\ntcp_port:{}\r\n\
         server_time_usec:{}\r\nuptime_in_seconds:{uptime_s}\r\nuptime_in_days:{}\r\nhz:{}\r\n\
         configured_hz:{}\r\nexecutable:{}\r\nconfig_file:{}\r\nio_threads_active:0\r\n",
        std::env::consts::OS,
        usize::BITS,
        std::process::id(),
        shared.run_id,
        shared.boot_id,
        core.config.int(Name::Port),
        crate::clock::unix_us(),
        uptime_s / 86_400,
        core.config.int(Name::Hz),
        core.config.int(Name::Hz),
        executable.unwrap_or_default(),
        config_file.unwrap_or_default(),
    );
    if crate::tls::is_wanted(&core.config) {
        let (port, revision) = (core.config.int(Name::TlsPort), shared.tls.revision());
        let _ = write!(out, "tls_port:{port}\r\ntls_revision:{revision}\r\n");
    }
}

fn clients(core: &mut Core, out: &mut String) {
    let input = core.clients.iter().map(|client| client.input.len()).max().unwrap_or(0);
    let output = core.clients.iter().map(|client| client.output.len()).max().unwrap_or(0);
    let _ = write!(
        out,
        "connected_clients:{}\r\ncluster_connections:0\r\nmaxclients:{}\r\n\
         client_recent_max_input_buffer:{input}\r\nclient_recent_max_output_buffer:{output}\r\n\
         blocked_clients:{}\r\ntracking_clients:{}\r\nclients_in_timeout_table:{}\r\n",
        core.clients.len(),
        core.config.int(Name::Maxclients),
        core.blocked.len() + core.paused.len(),
        core.tracking.client_count(),
        core.blocked.deadlines(),
    );
}

/// A number of bytes as people read it.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "K", "M", "G", "T", "P"] {
        if value < 1024.0 || unit == "P" {
            return if unit == "B" { format!("{bytes}B") } else { format!("{value:.2}{unit}") };
        }
        value /= 1024.0;
    }
    String::new()
}

/// A number of kilobytes that stands behind a word in a file of the kernel, in bytes.
pub(super) fn kernel_bytes(file: &str, word: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(word));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn memory(core: &mut Core, out: &mut String) {
    let used = core.store.used_bytes() as u64;
    let peak = core.shared.stats.used_bytes_peak.get().max(used as i64) as u64;
    core.shared.stats.used_bytes_peak.max(used as i64);
    let (resident, system) =
        (kernel_bytes("/proc/self/status", "VmRSS:"), kernel_bytes("/proc/meminfo", "MemTotal:"));
    let limit = core.config.int(Name::Maxmemory) as u64;
    let normal: usize = core.clients.iter().map(|c| c.input.capacity() + c.output.len()).sum();
    let _ = write!(
        out,
        "used_memory:{used}\r\nused_memory_human:{}\r\nused_memory_rss:{resident}\r\n\
         used_memory_rss_human:{}\r\nused_memory_peak:{peak}\r\nused_memory_peak_human:{}\r\n\
         used_memory_dataset:{used}\r\ntotal_system_memory:{system}\r\n\
         total_system_memory_human:{}\r\nmaxmemory:{limit}\r\nmaxmemory_human:{}\r\n\
         maxmemory_policy:{}\r\nmem_fragmentation_ratio:{:.2}\r\nmem_replication_backlog:{}\r\n\
         mem_clients_normal:{normal}\r\nmem_allocator:mimalloc\r\nlazyfree_pending_objects:0\r\n",
        human(used),
        human(resident),
        human(peak),
        human(system),
        human(limit),
        core.config.text(Name::MaxmemoryPolicy),
        resident as f64 / used.max(1) as f64,
        core.log.len(),
    );
    let (lua, cached) = (core.scripts.lua_bytes(), core.scripts.cached_bytes());
    let _ = write!(
        out,
        "used_memory_lua:{lua}\r\nused_memory_lua_human:{}\r\nused_memory_vm_eval:{lua}\r\n\
         used_memory_scripts:{cached}\r\nused_memory_scripts_human:{}\r\n\
         used_memory_scripts_eval:{cached}\r\nnumber_of_cached_scripts:{}\r\n",
        human(lua as u64),
        human(cached as u64),
        core.scripts.len(),
    );
}

fn stats(core: &mut Core, out: &mut String) {
    let stats = &core.shared.stats;
    let lines = [
        ("total_connections_received", stats.connections.get()),
        ("total_commands_processed", stats.commands.get()),
        ("total_net_input_bytes", stats.net_input_bytes.get()),
        ("total_net_output_bytes", stats.net_output_bytes.get()),
        ("rejected_connections", stats.rejected_connections.get()),
        ("sync_full", stats.sync_full.get()),
        ("sync_partial_ok", stats.sync_partial_ok.get()),
        ("sync_partial_err", stats.sync_partial_err.get()),
        ("expired_keys", stats.expired_keys.get()),
        ("evicted_clients", stats.evicted_clients.get()),
        ("evicted_keys", stats.evicted_keys.get()),
        ("keyspace_hits", stats.keyspace_hits.get()),
        ("keyspace_misses", stats.keyspace_misses.get()),
        ("pubsub_channels", core.pubsub.channels().count() as u64),
        ("pubsub_patterns", core.pubsub.pattern_count() as u64),
        ("pubsubshard_channels", core.pubsub.shard_channels().count() as u64),
        ("tracking_total_keys", core.tracking.key_count() as u64),
        ("tracking_total_items", core.tracking.reader_count() as u64),
        ("tracking_total_prefixes", core.tracking.prefix_count() as u64),
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        ("total_error_replies", stats.error_replies.get()),
        ("client_query_buffer_limit_disconnections", stats.query_buffer_disconnections.get()),
        ("client_output_buffer_limit_disconnections", stats.output_buffer_disconnections.get()),
        ("acl_access_denied_auth", stats.auth_failures.get()),
        ("eventloop_cycles", stats.turns.get()),
        ("eventloop_duration_sum", stats.turns_us.get()),
        ("holdfast_eventloop_duration_max_usec", stats.longest_turn_us.get() as u64),
    ];
    for (name, value) in lines {
        let _ = write!(out, "{name}:{value}\r\n");
    }
}

fn cpu(_: &mut Core, out: &mut String) {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // User and system time come from the kernel's own count in clock ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> = behind_name
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|word| word.parse().ok())
        .collect();
    let seconds = |at: usize| ticks.get(at).copied().unwrap_or(0.0) / 100.0;
    let _ = write!(
        out,
        "used_cpu_sys:{:.6}\r\nused_cpu_user:{:.6}\r\nused_cpu_sys_children:{:.6}\r\n\
         used_cpu_user_children:{:.6}\r\nused_cpu_total:{}.{:06}\r\n",
        seconds(1),
        seconds(0),
        seconds(3),
        seconds(2),
        own.tv_sec,
        own.tv_nsec / 1000,
    );
}

fn commandstats(core: &mut Core, out: &mut String) {
    for (name, count) in core.observed.commands() {
        let per_call = count.micros as f64 / count.calls.max(1) as f64;
        let _ = write!(
            out,
            "cmdstat_{name}:calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},\
             failed_calls={}\r\n",
            count.calls, count.micros, count.rejected, count.failed
        );
    }
}

fn errorstats(core: &mut Core, out: &mut String) {
    for (code, count) in core.observed.errors() {
        let _ = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}

fn cluster(core: &mut Core, out: &mut String) {
    let _ = write!(out, "cluster_enabled:{}\r\n", u8::from(core.is_cluster()));
}

fn keyspace(core: &mut Core, out: &mut String) {
    for db in 0..core.store.config().databases {
        let keys = core.store.len(db);
        if keys > 0 {
            let expires = core.store.expiring(db);
            let _ = write!(out, "db{db}:keys={keys},expires={expires},avg_ttl=0\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_two_places() {
        assert_eq!(human(512), "512B");
        assert_eq!(human(1536), "1.50K");
        assert_eq!(human(3 << 30), "3.00G");
    }
}
