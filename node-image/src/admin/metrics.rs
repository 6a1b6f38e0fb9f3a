//! The numbers of `/metrics`, in the names that redis_exporter uses where it has one.
//!
//! Known dashboards work by those names, so a number that means the same is called the same; what
//! is ours alone begins with `holdfast_`. Everything is read at the moment of the scrape: there is
//! no second copy that could go stale. Not known here: where the numbers come from, and HTTP.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::admin::Facts;

/// Renders all metrics as OpenMetrics text.
pub(super) fn render(facts: Facts) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(facts));
    let mut text = String::with_capacity(8 * 1024);
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// One name at a time on its way into the text.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    /// A number that only grows; `_total` is added to the name by the encoder.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = ConstCounter::new(value);
        let encoder = self.0.encode_descriptor(name, help, None, metric_type(&metric))?;
        metric.encode(encoder)
    }

    /// A number that goes up and down.
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = ConstGauge::new(value);
        let encoder = self.0.encode_descriptor(name, help, None, metric_type(&metric))?;
        metric.encode(encoder)
    }

    /// Numbers under one name that a label tells apart.
    fn labelled<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'static str, String); N], u64)>,
    ) -> fmt::Result {
        let kind = prometheus_client::metrics::MetricType::Gauge;
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in rows {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn metric_type(metric: &impl EncodeMetric) -> prometheus_client::metrics::MetricType {
    metric.metric_type()
}

impl Collector for Facts {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.server(&mut sheet)?;
        self.traffic(&mut sheet)?;
        self.keyspace(&mut sheet)?;
        self.replication(&mut sheet)?;
        if self.health.cluster_enabled { self.cluster(&mut sheet) } else { Ok(()) }
    }
}

impl Facts {
    fn server(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        sheet.gauge("redis_up", "The node answers", 1)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let role = if self.is_replica() { "slave" } else { "master" }.to_owned();
        sheet.labelled(
            "redis_instance_info",
            "What the node is",
            [([("holdfast_version", version), ("role", role)], 1)],
        )?;
        sheet.gauge("redis_uptime_in_seconds", "Age of the process", self.uptime_s)?;
        sheet.gauge("redis_process_id", "Id of the process", u64::from(std::process::id()))?;
        sheet.gauge("redis_memory_used_bytes", "Memory of the data set", self.used_bytes)?;
        sheet.gauge("redis_memory_max_bytes", "maxmemory; 0 is no limit", self.max_bytes)?;
        let loading = self.health.started().is_err();
        sheet.gauge("redis_loading_dump_file", "Data is being read", u64::from(loading))?;
        let ready = self.health.ready().is_ok();
        sheet.gauge("holdfast_ready", "The node is ready, as /readyz says", u64::from(ready))
    }

    fn traffic(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        sheet.gauge("redis_connected_clients", "Clients", self.clients)?;
        sheet.gauge("redis_blocked_clients", "Clients that wait", self.clients_blocked)?;
        sheet.counter("redis_connections_received", "Accepted", self.connections_accepted)?;
        sheet.counter(
            "redis_rejected_connections",
            "Above maxclients",
            self.connections_refused,
        )?;
        sheet.counter("redis_commands_processed", "Commands executed", self.commands)?;
        sheet.counter("redis_net_input_bytes", "Bytes read from clients", self.net_in_bytes)?;
        sheet.counter("redis_net_output_bytes", "Bytes written to clients", self.net_out_bytes)
    }

    fn keyspace(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let db = || [("db", "db0".to_owned())];
        sheet.labelled("redis_db_keys", "Keys", [(db(), self.keys)])?;
        sheet.counter("redis_keyspace_hits", "Lookups that found", self.hits)?;
        sheet.counter("redis_keyspace_misses", "Lookups that did not", self.misses)?;
        sheet.counter("redis_expired_keys", "Keys that expired", self.expired)?;
        sheet.counter("redis_evicted_keys", "Keys evicted for memory", self.evicted)
    }

    fn replication(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        sheet.gauge("redis_master_repl_offset", "Offset of the effect log", self.offset)?;
        sheet.gauge("redis_connected_slaves", "Replicas with a link", self.replicas)?;
        if self.is_replica() {
            let up = u64::from(self.health.replica_in_sync);
            sheet.gauge("redis_master_link_up", "The link to the primary is up", up)?;
        }
        Ok(())
    }

    fn cluster(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let ok = u64::from(self.health.cluster_ok);
        sheet.gauge("redis_cluster_state", "1 is ok, 0 is fail", ok)?;
        let own = u64::from(self.health.slots_owned);
        sheet.gauge("holdfast_cluster_slots_owned", "Slots of this node", own)?;
        let assigned = self.slots_assigned;
        sheet.gauge("redis_cluster_slots_assigned", "Slots with an owner", assigned)?;
        sheet.gauge("redis_cluster_slots_pfail", "Of a suspected owner", self.slots_pfail)?;
        sheet.gauge("redis_cluster_slots_fail", "Of a failed owner", self.slots_fail)?;
        let fine = assigned.saturating_sub(self.slots_pfail + self.slots_fail);
        sheet.gauge("redis_cluster_slots_ok", "Of an owner that is well", fine)?;
        sheet.gauge("redis_cluster_known_nodes", "Nodes that are known", self.known_nodes)?;
        sheet.gauge("redis_cluster_size", "Primaries that own slots", self.cluster_size)?;
        sheet.gauge("redis_cluster_current_epoch", "currentEpoch", self.current_epoch)?;
        sheet.gauge("redis_cluster_my_epoch", "configEpoch of this node", self.config_epoch)?;
        sheet.counter("redis_cluster_messages_sent", "Bus packets sent", self.packets_sent)?;
        sheet.counter("redis_cluster_messages_received", "Bus packets read", self.packets_read)?;
        sheet.counter(
            "holdfast_bus_packets_refused",
            "Malformed or foreign",
            self.packets_refused,
        )?;
        sheet.gauge("holdfast_migrations_running", "Slot migrations", self.migrations_running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dashboards_find_their_names() {
        let mut facts = Facts { keys: 12, commands: 34, ..Facts::default() };
        facts.health.cluster_enabled = true;
        facts.health.cluster_ok = true;
        let text = render(facts).unwrap();
        for line in [
            "redis_up 1",
            "redis_db_keys{db=\"db0\"} 12",
            "redis_commands_processed_total 34",
            "redis_cluster_state 1",
            "# TYPE redis_connected_clients gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_node_without_a_cluster_tells_nothing_about_one() {
        assert!(!render(Facts::default()).unwrap().contains("redis_cluster_"));
    }
}
