//! One pod's life, from its address to the end of its last process.
//!
//! ```text
//!   wait for volumes -> start -> run (probes, mounts) -> ended -> back off -> start ...
//!                                  | deleted: SIGTERM, grace, SIGKILL, confirm
//! ```
//! A pod has one container here; more are refused with a reason. Not known here: other pods.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use holdfast_api_store::object::{self, integer, items};
use holdfast_api_store::{Context, DeleteOptions, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Child;
use tokio::time::{Instant, sleep_until, timeout};

use super::probe::{Probes, Verdict};
use super::render::{self, Command};
use super::status::{End, Facts, Stage};
use super::{KUBELET, Kubelet, pods};
use crate::local::api::now_ms;
use crate::local::kubeconfig::random_hex;
use crate::local::logs;

/// Back-off after the second failure in a row; doubles up to the most.
const BACK_OFF_MIN: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_mins(5);
/// A life of this length forgives the failures before it.
const FORGIVEN_AFTER: Duration = Duration::from_mins(10);
/// How long a child may take to end when the whole of `holdfast local` ends.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Lives until the pod is gone and its process has ended; returns its uid.
pub(super) async fn live(kubelet: Arc<Kubelet>, pod: Arc<Value>) -> String {
    let uid = object::uid(&pod).to_owned();
    let address = match kubelet.addresses.lock() {
        Ok(mut addresses) => addresses.take(),
        Err(broken) => broken.into_inner().take(),
    };
    let facts = Facts {
        address: None,
        started_ms: now_ms(),
        stage: Stage::Waiting { reason: "ContainerCreating", message: String::new() },
        last: None,
        restarts: 0,
        container_id: String::new(),
        started: false,
        ready: false,
    };
    let mut life = Life { kubelet, pod, address, facts, failures: 0 };
    life.run().await;
    let folder = render::pod_folder(&life.kubelet.settings, &life.pod);
    if let Err(e) = fs::remove_dir_all(&folder) {
        tracing::debug!(folder = %folder.display(), error = %e, "A pod's folder stays.");
    }
    uid
}

struct Life {
    kubelet: Arc<Kubelet>,
    pod: Arc<Value>,
    address: Ipv4Addr,
    facts: Facts,
    failures: u32,
}

/// What ended a wait.
enum Wake {
    Exited(Option<ExitStatus>),
    Changed,
    ProbeDue,
    Stopped,
}

impl Life {
    async fn run(&mut self) {
        let mut changes = self.kubelet.api.changes();
        let mut stopped = self.kubelet.stopped.clone();
        loop {
            changes.mark_unchanged();
            if *stopped.borrow() || !self.still_wanted() {
                self.confirm();
                return;
            }
            match self.prepare() {
                Ok((container, command)) => {
                    if !self.one_life(&container, &command).await {
                        return;
                    }
                }
                Err((reason, message)) => {
                    self.facts.stage = Stage::Waiting { reason, message };
                    self.report();
                    tokio::select! {
                        alive = changes.changed() => if alive.is_err() { return },
                        _ = stopped.changed() => {}
                    }
                }
            }
        }
    }

    /// The pod exists, is the same, and is not being deleted.
    fn still_wanted(&mut self) -> bool {
        match self.kubelet.current(&self.pod) {
            Some(pod) => {
                self.pod = pod;
                !object::is_terminating(&self.pod)
            }
            None => false,
        }
    }

    fn prepare(&self) -> Result<(Value, Command), render::Obstacle> {
        let [container] = items(&self.pod, &["spec", "containers"]) else {
            let text = "the embedded kubelet runs pods of exactly one container".to_owned();
            return Err(("CreateContainerConfigError", text));
        };
        let settings = &self.kubelet.settings;
        let command = self
            .kubelet
            .api
            .read(|store| render::command(store, settings, &self.pod, container, self.address))?;
        self.mount(container)?;
        Ok((container.clone(), command))
    }

    fn mount(&self, container: &Value) -> Result<(), render::Obstacle> {
        let settings = &self.kubelet.settings;
        let (files, folders) =
            self.kubelet.api.read(|store| render::files(store, settings, &self.pod, container))?;
        render::mount(&files, &folders)
            .map_err(|e| ("CreateContainerError", format!("failed to mount the volumes: {e}")))
    }

    /// Starts the container and stays with it; false when the pod is over.
    async fn one_life(&mut self, container: &Value, command: &Command) -> bool {
        let mut child = match self.start(container, command) {
            Ok(child) => child,
            Err(e) => {
                let message = format!("failed to start {}: {e}", command.program.display());
                self.facts.stage = Stage::Waiting { reason: "CreateContainerError", message };
                self.report();
                return self.pause(BACK_OFF_MIN).await;
            }
        };
        let begun = Instant::now();
        let mut probes = Probes::new(container, self.address, begun);
        let (over, status) = self.attend(container, &mut child, &mut probes).await;
        self.ended(status);
        if over {
            self.report();
            self.confirm();
            return false;
        }
        self.report();
        self.back_off(begun.elapsed()).await
    }

    fn start(&mut self, container: &Value, command: &Command) -> std::io::Result<Child> {
        let log_folder = self.kubelet.settings.logs();
        fs::create_dir_all(&log_folder)?;
        let name = object::text(container, &["name"]);
        let path = logs::file(&log_folder, &self.pod, name, false);
        if path.exists() {
            fs::rename(&path, logs::file(&log_folder, &self.pod, name, true))?;
        }
        let log = File::create(&path)?;
        let child = tokio::process::Command::new(&command.program)
            .args(&command.arguments)
            .env_clear()
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .env(super::super::PARENT_VARIABLE, std::process::id().to_string())
            .current_dir(&command.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let id = random_hex(32).map_err(std::io::Error::other)?;
        self.facts.container_id = format!("holdfast://{id}");
        self.facts.address = Some(self.address);
        self.facts.stage = Stage::Running { since_ms: now_ms() };
        let idle = Probes::new(container, self.address, Instant::now());
        (self.facts.started, self.facts.ready) = (idle.started(), idle.ready());
        self.report();
        Ok(child)
    }

    /// Waits for the child's end, and brings it about when the pod is deleted or fails its
    /// probes. True when the pod is over with it.
    async fn attend(
        &mut self,
        container: &Value,
        child: &mut Child,
        probes: &mut Probes,
    ) -> (bool, Option<ExitStatus>) {
        let mut changes = self.kubelet.api.changes();
        let mut stopped = self.kubelet.stopped.clone();
        loop {
            if *stopped.borrow() {
                return (true, end(child, STOP_GRACE).await);
            }
            let due = probes.due();
            let wake = tokio::select! {
                status = child.wait() => Wake::Exited(status.ok()),
                _ = changes.changed() => Wake::Changed,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    Wake::ProbeDue
                }
                _ = stopped.changed() => Wake::Stopped,
            };
            match wake {
                Wake::Exited(status) => return (!self.still_wanted(), status),
                Wake::Stopped => {}
                Wake::Changed => {
                    if !self.still_wanted() {
                        let grace = self.grace();
                        return (true, self.end_gracefully(child, grace).await);
                    }
                    // A changed ConfigMap or Secret reaches the process through its mount.
                    if let Err((reason, message)) = self.mount(container) {
                        tracing::debug!(reason, message, "A mount could not be refreshed.");
                    }
                }
                Wake::ProbeDue => match probes.run_due().await {
                    Verdict::Unchanged => {}
                    Verdict::Started | Verdict::Ready(_) => {
                        (self.facts.started, self.facts.ready) = (probes.started(), probes.ready());
                        self.report();
                    }
                    Verdict::MustRestart => {
                        let grace = self.grace();
                        return (false, end(child, grace).await);
                    }
                },
            }
        }
    }

    /// The grace that is left: of the deletion if it runs, of the spec otherwise; none when the
    /// object is gone by force.
    fn grace(&self) -> Duration {
        let Some(pod) = self.kubelet.current(&self.pod) else { return Duration::ZERO };
        let seconds = integer(&pod, &["metadata", "deletionGracePeriodSeconds"])
            .or_else(|| integer(&pod, &["spec", "terminationGracePeriodSeconds"]))
            .unwrap_or(30);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    /// Ends the child within its grace, and at once when the deletion is forced meanwhile.
    async fn end_gracefully(&mut self, child: &mut Child, grace: Duration) -> Option<ExitStatus> {
        self.facts.ready = false;
        self.report();
        if grace.is_zero() {
            return end(child, grace).await;
        }
        signal(child, Signal::TERM);
        let deadline = Instant::now() + grace;
        let mut changes = self.kubelet.api.changes();
        loop {
            tokio::select! {
                status = child.wait() => return status.ok(),
                () = sleep_until(deadline) => return end(child, Duration::ZERO).await,
                _ = changes.changed() => if self.grace().is_zero() {
                    return end(child, Duration::ZERO).await;
                }
            }
        }
    }

    fn ended(&mut self, status: Option<ExitStatus>) {
        let started_ms = match self.facts.stage {
            Stage::Running { since_ms } => since_ms,
            _ => now_ms(),
        };
        let signal = status.and_then(|status| status.signal());
        let code = status.and_then(|status| status.code()).or(signal.map(|s| 128 + s));
        self.facts.stage = Stage::Ended(End {
            code: code.unwrap_or(255),
            signal,
            started_ms,
            finished_ms: now_ms(),
            container_id: self.facts.container_id.clone(),
        });
        (self.facts.started, self.facts.ready) = (false, false);
    }

    /// The first restart is at once, later ones wait longer and longer; false when the pod went.
    async fn back_off(&mut self, lived: Duration) -> bool {
        if let Stage::Ended(end) = &self.facts.stage {
            self.facts.last = Some(end.clone());
        }
        self.failures = if lived >= FORGIVEN_AFTER { 0 } else { self.failures + 1 };
        self.facts.restarts += 1;
        let doublings = self.failures.saturating_sub(2).min(10);
        if self.failures < 2 {
            return true;
        }
        let wait = BACK_OFF_MIN.saturating_mul(1 << doublings).min(BACK_OFF_MAX);
        let message = format!("back-off {} s restarting failed container", wait.as_secs());
        self.facts.stage = Stage::Waiting { reason: "CrashLoopBackOff", message };
        self.report();
        self.pause(wait).await
    }

    /// Sleeps unless the pod goes; false when it did.
    async fn pause(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut changes = self.kubelet.api.changes();
        let mut stopped = self.kubelet.stopped.clone();
        loop {
            if *stopped.borrow() || !self.still_wanted() {
                self.confirm();
                return false;
            }
            tokio::select! {
                () = sleep_until(until) => return true,
                _ = changes.changed() => {}
                _ = stopped.changed() => {}
            }
        }
    }

    fn report(&self) {
        let Some(pod) = self.kubelet.current(&self.pod) else { return };
        let Some(container) = items(&pod, &["spec", "containers"]).first() else { return };
        let status = self.facts.to_json(&pod, container, now_ms());
        self.kubelet.write_status(&pod, &status);
    }

    /// Tells the API that nothing of a deleted pod runs any more.
    fn confirm(&self) {
        let Some(pod) = self.kubelet.current(&self.pod) else { return };
        if !object::is_terminating(&pod) {
            return;
        }
        let target = Target::new(&pods(), object::namespace(&pod), object::name(&pod));
        let options = DeleteOptions {
            grace_seconds: Some(0),
            uid: object::uid(&pod).to_owned(),
            ..DeleteOptions::default()
        };
        let gone = self
            .kubelet
            .api
            .write(|store, now| store.delete(&target, &options, &Context::new(now, KUBELET)));
        if let Err(e) = gone {
            tracing::debug!(pod = object::name(&pod), error = %e, "A pod was gone already.");
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The child may have ended just now; then there is nobody to tell.
        let _ = kill_process(pid, signal);
    }
}

/// SIGTERM, then SIGKILL when the grace is over.
async fn end(child: &mut Child, grace: Duration) -> Option<ExitStatus> {
    if !grace.is_zero() {
        signal(child, Signal::TERM);
        if let Ok(status) = timeout(grace, child.wait()).await {
            return status.ok();
        }
    }
    signal(child, Signal::KILL);
    child.wait().await.ok()
}
