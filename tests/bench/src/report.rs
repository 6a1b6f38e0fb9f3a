//! The figures: a table as they come, and JSON at the end.
//!
//! A ratio above 1 is in our favour. Not known here: how they were measured.

use serde_json::{Value, json};

use crate::load::Run;
use crate::memory::Bytes;

/// All figures so far.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Value>,
    speed_headed: bool,
    memory_headed: bool,
}

fn median(runs: &[Run], of: fn(&Run) -> f64) -> Option<f64> {
    let mut all: Vec<f64> = runs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

fn shown(figure: Option<f64>, places: usize) -> String {
    figure.map_or_else(|| "missing".to_owned(), |figure| format!("{figure:.places$}"))
}

fn ratio(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    Some(over? / under?)
}

impl Report {
    /// A speed workload: the runs of ours and of the peer.
    pub fn speed(&mut self, name: &str, [ours, peer]: &[Vec<Run>; 2]) {
        if !std::mem::replace(&mut self.speed_headed, true) {
            println!(
                "{:<18} {:>19} {:>15} {:>6} {:>17} {:>17} {:>17}",
                "workload", "requests/s", "CPU us/request", "ratio", "p50 us", "p99 us", "p99.9 us"
            );
        }
        let both = |of: fn(&Run) -> f64| [median(ours, of), median(peer, of)];
        let (rate, cpu) = (both(|run| run.per_second), both(|run| run.cpu_us));
        let times = [both(|run| run.p50_us), both(|run| run.p99_us), both(|run| run.p999_us)];
        let cpu_ratio = ratio(cpu[1], cpu[0]);
        let pair = |pair: [Option<f64>; 2], places| {
            format!("{} / {}", shown(pair[0], places), shown(pair[1], places))
        };
        println!(
            "{name:<18} {:>19} {:>15} {:>6} {:>17} {:>17} {:>17}",
            pair(rate, 0),
            pair(cpu, 3),
            shown(cpu_ratio, 2),
            pair(times[0], 0),
            pair(times[1], 0),
            pair(times[2], 0)
        );
        self.rows.push(json!({
            "workload": name, "runs": ours.len(), "requests_per_second": rate,
            "cpu_us_per_request": cpu, "cpu_ratio": cpu_ratio, "rate_ratio": ratio(rate[0], rate[1]),
            "p50_us": times[0], "p99_us": times[1], "p999_us": times[2],
        }));
    }

    /// A memory case: ours and the peer's.
    pub fn memory(&mut self, name: &str, both: &[Option<Bytes>]) {
        if !std::mem::replace(&mut self.memory_headed, true) {
            println!(
                "{:<18} {:>21} {:>6} {:>21}",
                "bytes per key", "used_memory", "ratio", "resident"
            );
        }
        let of = |place: usize, of: fn(&Bytes) -> f64| both.get(place)?.as_ref().map(of);
        let used = [of(0, |bytes| bytes.used), of(1, |bytes| bytes.used)];
        let resident = [of(0, |bytes| bytes.resident), of(1, |bytes| bytes.resident)];
        let pair =
            |pair: [Option<f64>; 2]| format!("{} / {}", shown(pair[0], 1), shown(pair[1], 1));
        let used_ratio = ratio(used[1], used[0]);
        println!(
            "{name:<18} {:>21} {:>6} {:>21}",
            pair(used),
            shown(used_ratio, 2),
            pair(resident)
        );
        self.rows.push(json!({
            "case": name, "used_memory": used, "resident": resident, "used_ratio": used_ratio,
        }));
    }

    /// Everything, for programs. Pairs are ours and the peer's.
    pub fn json(&self) -> String {
        format!("{:#}\n", Value::Array(self.rows.clone()))
    }
}
