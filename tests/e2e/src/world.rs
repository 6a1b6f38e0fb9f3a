//! A namespace of one test's own on whatever Kubernetes `KUBECONFIG` names.
//!
//! The operator must be installed and watch all namespaces (`.ci/run` does that by helm). Faults
//! that kubectl cannot make come from the programs in the folder `HOLDFAST_FAULTS`. Without a
//! `KUBECONFIG` a test says that it is skipped; with `HOLDFAST_E2E=required` it fails instead.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The namespace of one test; removed when the test passes.
pub struct World {
    /// Name of the namespace.
    pub namespace: String,
}

/// A pod of a cluster, as Kubernetes shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// `<cluster>-<shard>-<ordinal>`.
    pub name: String,
    /// Address; empty while it has none.
    pub ip: String,
    /// Number of the shard.
    pub shard: u32,
    /// Kubernetes' uid of this incarnation.
    pub uid: String,
    /// The Ready condition.
    pub ready: bool,
}

impl World {
    /// A fresh namespace for `promise`, or `None` with a printed reason where none can be had.
    pub fn new(promise: &str) -> Option<Self> {
        if std::env::var_os("KUBECONFIG").is_none() {
            let required = std::env::var("HOLDFAST_E2E").is_ok_and(|value| value == "required");
            assert!(!required, "{promise}: KUBECONFIG is not set, and HOLDFAST_E2E=required");
            println!("SKIPPED {promise}: KUBECONFIG names no Kubernetes");
            return None;
        }
        let namespace = format!("e2e-{promise}-{:x}", std::process::id());
        let world = Self { namespace };
        run("kubectl", &["create", "namespace", &world.namespace], None);
        Some(world)
    }

    /// Runs kubectl in the namespace; panics with its words when it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let output = self.try_kubectl(args);
        assert!(output.status.success(), "kubectl {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs kubectl in the namespace and leaves the judgement to the caller.
    pub fn try_kubectl(&self, args: &[&str]) -> Output {
        let mut all = vec!["-n", &self.namespace];
        all.extend_from_slice(args);
        output("kubectl", &all, None)
    }

    /// `kubectl apply` of a manifest; the words of a refusal as the error.
    pub fn apply(&self, manifest: &str) -> Result<String, String> {
        let args = ["-n", &self.namespace, "apply", "-f", "-"];
        let done = output("kubectl", &args, Some(manifest));
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// Applies a `RedisCluster` with this spec (indented YAML) and waits until it is Ready.
    pub fn create(&self, name: &str, spec: &str) -> Duration {
        let start = Instant::now();
        let applied = self.apply(&manifest(name, spec));
        assert!(applied.is_ok(), "apply was refused: {applied:?}");
        self.wait_ready(name, Duration::from_secs(120));
        let took = start.elapsed();
        println!("{name}: Ready {:.1} s after apply", took.as_secs_f64());
        took
    }

    /// Waits until the object says Ready for its newest generation.
    pub fn wait_ready(&self, name: &str, at_most: Duration) {
        let what = format!("{name} is Ready");
        self.wait(&what, at_most, || self.is_ready(name).then_some(()));
    }

    /// Whether the object says Ready for its newest generation.
    pub fn is_ready(&self, name: &str) -> bool {
        let is_ready = |object: &Value| {
            let generation = object.pointer("/metadata/generation")?.as_i64()?;
            let ready = object
                .pointer("/status/conditions")?
                .as_array()?
                .iter()
                .find(|found| found.get("type").and_then(Value::as_str) == Some("Ready"))?;
            let is_new = ready.get("observedGeneration")?.as_i64()? >= generation;
            Some(is_new && ready.get("status")?.as_str()? == "True")
        };
        self.object(name).as_ref().and_then(is_ready).unwrap_or(false)
    }

    /// Polls until `probe` gives a value; panics with the state of the object when it does not.
    pub fn wait<T>(
        &self,
        what: &str,
        at_most: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = probe() {
                return found;
            }
            if start.elapsed() > at_most {
                let shown = self.try_kubectl(&["get", "rediscluster,pods,pvc", "-o", "wide"]);
                let status = self.try_kubectl(&["get", "rediscluster", "-o", "yaml"]);
                println!("{}\n{}", text(&shown.stdout), text(&status.stdout));
                panic!("not within {at_most:?}: {what}");
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// The `RedisCluster` object as JSON.
    pub fn object(&self, name: &str) -> Option<Value> {
        let shown = self.try_kubectl(&["get", "rediscluster", name, "-o", "json"]);
        serde_json::from_slice(&shown.stdout).ok()
    }

    /// The generated password of the default user.
    pub fn password(&self, name: &str) -> String {
        let secret = format!("{name}-default-user");
        let template = "go-template={{.data.password | base64decode}}";
        self.kubectl(&["get", "secret", &secret, "-o", template])
    }

    /// The cluster's pods, in order of their names.
    pub fn pods(&self, name: &str) -> Vec<Pod> {
        let selector = format!("holdfast.dev/cluster={name}");
        let shown = self.try_kubectl(&["get", "pods", "-l", &selector, "-o", "json"]);
        let Ok(list) = serde_json::from_slice::<Value>(&shown.stdout) else { return Vec::new() };
        let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut pods: Vec<Pod> = items.iter().map(pod).collect();
        pods.sort();
        pods
    }

    /// SIGKILLs the processes of a pod's container and waits until Kubernetes has seen it.
    ///
    /// The tool's exit status is not asked: it reads the process that it has just killed. What
    /// counts is that the container is another one afterwards.
    pub fn kill(&self, pod: &str) -> Instant {
        let before = self.container_id(pod);
        let killed_at = Instant::now();
        self.kill_now(pod);
        self.wait(&format!("{pod} has another container"), Duration::from_secs(60), || {
            let now = self.container_id(pod);
            (now.is_some() && now != before).then_some(())
        });
        killed_at
    }

    /// The same without waiting for anything.
    pub fn kill_now(&self, pod: &str) {
        let folder = std::env::var("HOLDFAST_FAULTS").expect("HOLDFAST_FAULTS names the tools");
        output(&format!("{folder}/kill"), &["pod", &format!("{}/{pod}", self.namespace)], None);
    }

    /// How often the container of this pod was started again.
    pub fn restarts_of(&self, pod: &str) -> u64 {
        let path = "jsonpath={.status.containerStatuses[0].restartCount}";
        let shown = self.try_kubectl(&["get", "pod", pod, "-o", path]);
        text(&shown.stdout).trim().parse().unwrap_or(0)
    }

    /// Whether the container of this pod runs, as the kubelet says.
    pub fn is_running(&self, pod: &str) -> bool {
        let path = "jsonpath={.status.containerStatuses[0].state.running.startedAt}";
        let shown = self.try_kubectl(&["get", "pod", pod, "-o", path]);
        shown.status.success() && !shown.stdout.is_empty()
    }

    /// Who holds a Lease; none while nobody does.
    pub fn lease_holder(&self, lease: &str) -> Option<String> {
        let shown =
            self.try_kubectl(&["get", "lease", lease, "-o", "jsonpath={.spec.holderIdentity}"]);
        let holder = text(&shown.stdout);
        (shown.status.success() && !holder.is_empty()).then_some(holder)
    }

    /// Id of the container that runs or waits in a pod; none while there is none.
    pub fn container_id(&self, pod: &str) -> Option<String> {
        let path = "jsonpath={.status.containerStatuses[0].state.running.startedAt}\
                    {.status.containerStatuses[0].containerID}";
        let shown = self.try_kubectl(&["get", "pod", pod, "-o", path]);
        let id = text(&shown.stdout);
        (shown.status.success() && !id.is_empty()).then_some(id)
    }

    /// Deletes the namespace and all in it. Call it last: a failed test leaves its world to look
    /// at.
    pub fn end(self) {
        let args = ["delete", "namespace", &self.namespace, "--wait=false"];
        run("kubectl", &args, None);
    }
}

fn pod(item: &Value) -> Pod {
    let word = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or("").to_owned();
    let conditions = item.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Ready")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    });
    Pod {
        name: word("/metadata/name"),
        ip: word("/status/podIP"),
        shard: word("/metadata/labels/holdfast.dev~1shard").parse().unwrap_or(0),
        uid: word("/metadata/uid"),
        ready,
    }
}

/// A `RedisCluster` manifest with this spec; each line of it is indented here.
pub fn manifest(name: &str, spec: &str) -> String {
    let spec = spec.lines().fold(String::new(), |all, line| all + "  " + line + "\n");
    format!(
        "apiVersion: holdfast.dev/v1alpha1\nkind: RedisCluster\nmetadata: {{name: {name}}}\nspec:\n{spec}"
    )
}

/// Runs a program to its end; panics with its words when it fails.
pub fn run(program: &str, args: &[&str], input: Option<&str>) -> String {
    let done = output(program, args, input);
    let said = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{program} {args:?} failed: {said}");
    text(&done.stdout)
}

fn output(program: &str, args: &[&str], input: Option<&str>) -> Output {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new(program)
        .args(args)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to start {program}: {error}"));
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).expect("the program reads its input");
    }
    child.wait_with_output().expect("the program ends")
}

/// Output as text; what is no UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
