//! INFO's section "replication".
//!
//! Not known here: the rest of INFO.

use std::fmt::Write;

use super::feed::{self, Stage};
use crate::config::Name;
use crate::core::Core;

/// INFO's section "replication".
pub fn append_info(core: &Core, out: &mut String) {
    let replication = &core.replication;
    let role = if replication.is_replica() { "slave" } else { "master" };
    let _ = write!(out, "role:{role}\r\n");
    append_primary(core, out);
    let _ = write!(out, "connected_slaves:{}\r\n", replication.feed.len());
    if core.config.size(Name::MinReplicasToWrite) > 0 {
        let lag_ms_max = core.config.int(Name::MinReplicasMaxLag) * 1000;
        let good = replication.feed.count_good(core.now_ms, lag_ms_max);
        let _ = write!(out, "min_slaves_good_slaves:{good}\r\n");
    }
    for (place, replica) in replication.feed.asked().enumerate() {
        let ip = feed::ip(core, replica.client);
        let state = match replica.stage {
            Stage::Online => "online",
            Stage::Snapshot(_) | Stage::Loading(_) | Stage::Loaded(_) => "send_bulk",
            Stage::Greeting | Stage::Waiting => "wait_bgsave",
        };
        let lag = (core.now_ms - replica.acked_ms) / 1000;
        let _ = write!(
            out,
            "slave{place}:ip={ip},port={},state={state},offset={},lag={lag}\r\n",
            replica.port, replica.acked
        );
    }
    let (second, second_offset) = match replication.history.second() {
        Some((id, until)) => (id.to_string(), until as i64 + 1),
        None => ("0".repeat(40), -1),
    };
    let _ = write!(
        out,
        "master_failover_state:no-failover\r\nmaster_replid:{}\r\nmaster_replid2:{second}\r\n\
         master_repl_offset:{}\r\nsecond_repl_offset:{second_offset}\r\n\
         repl_backlog_active:1\r\nrepl_backlog_size:{}\r\n\
         repl_backlog_first_byte_offset:{}\r\nrepl_backlog_histlen:{}\r\n",
        replication.history.id(),
        core.log.end(),
        core.log.backlog_bytes_max(),
        core.log.start() + 1,
        core.log.len(),
    );
}

fn append_primary(core: &Core, out: &mut String) {
    let Some(following) = &core.replication.following else { return };
    let is_up = following.is_streaming();
    let silent_s = match following.last_contact_ms {
        Some(at_ms) if is_up => (core.now_ms - at_ms) / 1000,
        _ => -1,
    };
    let offset = core.log.end();
    let _ = write!(
        out,
        "master_host:{}\r\nmaster_port:{}\r\nmaster_link_status:{}\r\n\
         master_last_io_seconds_ago:{silent_s}\r\nmaster_sync_in_progress:{}\r\n\
         slave_read_repl_offset:{}\r\nslave_repl_offset:{offset}\r\n",
        following.address.host,
        following.address.port,
        if is_up { "up" } else { "down" },
        u8::from(following.receiving_bytes().is_some()),
        offset + following.lag_bytes(),
    );
    if let Some(bytes) = following.receiving_bytes() {
        let _ = write!(
            out,
            "master_sync_total_bytes:-1\r\nmaster_sync_read_bytes:{bytes}\r\n\
             master_sync_left_bytes:-1\r\nmaster_sync_perc:-0.00\r\n\
             master_sync_last_io_seconds_ago:0\r\n"
        );
    }
    if let Some(since_ms) = following.down_since_ms {
        let seconds = (core.now_ms - since_ms) / 1000;
        let _ = write!(out, "master_link_down_since_seconds:{seconds}\r\n");
    }
    let _ = write!(
        out,
        "slave_priority:{}\r\nslave_read_only:{}\r\nreplica_announced:1\r\n",
        core.config.int(Name::ReplicaPriority),
        u8::from(core.config.yes(Name::ReplicaReadOnly)),
    );
}
