//! HTTP probes of a container: startup, liveness, readiness.
//!
//! A state machine over ticks: the pod's task asks when the next probe is due and tells how it
//! went. Only `httpGet` is understood; a probe of another kind counts as passed. Not known here:
//! what follows from a verdict.

use std::net::Ipv4Addr;
use std::time::Duration;

use holdfast_api_store::object::{integer, items, text};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// What the probes say about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Unchanged,
    Started,
    Ready(bool),
    MustRestart,
}

#[derive(Debug, Clone)]
struct Probe {
    kind: Kind,
    path: String,
    port: u16,
    period: Duration,
    timeout: Duration,
    failures_max: i64,
    successes_min: i64,
    due: Instant,
    failures: i64,
    successes: i64,
}

/// The probes of one container's life.
#[derive(Debug, Clone)]
pub(super) struct Probes {
    address: Ipv4Addr,
    probes: Vec<Probe>,
    started: bool,
    ready: bool,
}

impl Probes {
    pub(super) fn new(container: &Value, address: Ipv4Addr, now: Instant) -> Self {
        let kinds = [
            ("startupProbe", Kind::Startup),
            ("livenessProbe", Kind::Liveness),
            ("readinessProbe", Kind::Readiness),
        ];
        let probes: Vec<Probe> = kinds
            .into_iter()
            .filter_map(|(field, kind)| read(container, container.get(field)?, kind, now))
            .collect();
        let has = |kind: Kind| probes.iter().any(|probe| probe.kind == kind);
        let (started, ready) = (!has(Kind::Startup), !has(Kind::Readiness));
        Self { address, probes, started, ready: ready && started }
    }

    pub(super) fn started(&self) -> bool {
        self.started
    }

    pub(super) fn ready(&self) -> bool {
        self.ready
    }

    /// When the next probe is due: only the startup probe until it has passed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.active().map(|probe| probe.due).min()
    }

    fn active(&self) -> impl Iterator<Item = &Probe> {
        self.probes.iter().filter(|probe| (probe.kind == Kind::Startup) != self.started)
    }

    /// Runs the probe that is due and judges.
    pub(super) async fn run_due(&mut self) -> Verdict {
        let Some(due) = self.due() else { return Verdict::Unchanged };
        let (started, address) = (self.started, self.address);
        let active = |probe: &&mut Probe| (probe.kind == Kind::Startup) != started;
        let Some(probe) = self.probes.iter_mut().filter(active).find(|p| p.due <= due) else {
            return Verdict::Unchanged;
        };
        probe.due = Instant::now() + probe.period;
        let asked = get(address, probe.port, &probe.path);
        let passed = timeout(probe.timeout, asked).await.is_ok_and(|answer| answer.is_some());
        let (kind, verdict) = (probe.kind, probe.judge(passed));
        self.conclude(kind, verdict)
    }

    fn conclude(&mut self, kind: Kind, verdict: Option<bool>) -> Verdict {
        match (kind, verdict) {
            (_, None) => Verdict::Unchanged,
            (Kind::Startup, Some(true)) => {
                self.started = true;
                self.ready = !self.probes.iter().any(|probe| probe.kind == Kind::Readiness);
                let now = Instant::now();
                self.probes.iter_mut().for_each(|probe| probe.due = now);
                Verdict::Started
            }
            (Kind::Readiness, Some(ready)) if ready == self.ready => Verdict::Unchanged,
            (Kind::Readiness, Some(ready)) => {
                self.ready = ready;
                Verdict::Ready(ready)
            }
            (Kind::Liveness, Some(true)) => Verdict::Unchanged,
            (Kind::Startup | Kind::Liveness, Some(false)) => Verdict::MustRestart,
        }
    }
}

impl Probe {
    /// Counts an outcome; a verdict is there when the threshold is reached.
    fn judge(&mut self, passed: bool) -> Option<bool> {
        if passed {
            self.successes += 1;
            self.failures = 0;
            (self.successes >= self.successes_min).then_some(true)
        } else {
            self.failures += 1;
            self.successes = 0;
            (self.failures >= self.failures_max).then_some(false)
        }
    }
}

fn read(container: &Value, probe: &Value, kind: Kind, now: Instant) -> Option<Probe> {
    let get = probe.get("httpGet")?;
    let seconds = |field: &str, default: i64| {
        let value = integer(probe, &[field]).unwrap_or(default).max(0);
        Duration::from_secs(value.unsigned_abs())
    };
    Some(Probe {
        kind,
        path: text(get, &["path"]).to_owned(),
        port: port(container, get.get("port")?)?,
        period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
        timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
        failures_max: integer(probe, &["failureThreshold"]).unwrap_or(3),
        successes_min: integer(probe, &["successThreshold"]).unwrap_or(1),
        due: now + seconds("initialDelaySeconds", 0),
        failures: 0,
        successes: 0,
    })
}

/// A port by number or by the name that the container gives it.
fn port(container: &Value, port: &Value) -> Option<u16> {
    let number = match port {
        Value::String(name) => items(container, &["ports"])
            .iter()
            .find(|one| text(one, &["name"]) == name)
            .and_then(|one| integer(one, &["containerPort"]))?,
        other => other.as_i64()?,
    };
    u16::try_from(number).ok()
}

/// Asks once; Some when the answer's code is at least 200 and below 400.
async fn get(address: Ipv4Addr, port: u16, path: &str) -> Option<()> {
    let mut stream = TcpStream::connect((address, port)).await.ok()?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(512).read_to_end(&mut answer).await.ok()?;
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let code = std::str::from_utf8(line).ok()?.split(' ').nth(1)?.parse::<u16>().ok()?;
    (200..400).contains(&code).then_some(())
}
