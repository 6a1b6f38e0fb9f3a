//! Real processes on loopback, each with a directory of its own; all end with the test.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::client::Connection;

/// How long a test waits for what must come soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A port that nobody listens on. It lies below those that the kernel gives to outgoing
/// connections, so that it is still free when the server binds it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 101 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `check` gives something; says what it waited for when it does not.
pub(crate) fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running (or killed) server.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) bus_port: u16,
    pub(crate) control_port: u16,
    pub(crate) dir: PathBuf,
    program: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

pub(crate) const PASSWORD: &str = "control-secret";

impl Server {
    /// One of our nodes.
    pub(crate) fn node(root: &Path, extra: &[&str]) -> Self {
        let control_port = free_port();
        let password = root.join("control-password");
        std::fs::write(&password, PASSWORD).unwrap();
        let mut args = vec![
            "--control-port".to_owned(),
            control_port.to_string(),
            "--control-password-file".to_owned(),
            password.display().to_string(),
        ];
        args.extend(extra.iter().map(|word| (*word).to_owned()));
        Self::start(env!("CARGO_BIN_EXE_holdfast-node").into(), root, args, control_port)
    }

    /// Debian's redis-server 7.0.
    pub(crate) fn stock(root: &Path, extra: &[&str]) -> Self {
        let args = extra.iter().map(|word| (*word).to_owned()).collect();
        Self::start("redis-server".into(), root, args, 0)
    }

    fn start(program: PathBuf, root: &Path, extra: Vec<String>, control_port: u16) -> Self {
        let (port, bus_port) = (free_port(), free_port());
        let dir = root.join(port.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let mut args: Vec<String> = [
            "--port",
            &port.to_string(),
            "--cluster-port",
            &bus_port.to_string(),
            "--cluster-enabled",
            "yes",
            "--bind",
            "127.0.0.1",
            "--dir",
            &dir.display().to_string(),
            "--cluster-node-timeout",
            "2000",
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend(extra);
        let mut server = Self { port, bus_port, control_port, dir, program, args, child: None };
        server.restart();
        server
    }

    /// Starts the process (again) over the same directory.
    pub(crate) fn restart(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = self.port;
        until("the server answers PING", || {
            assert!(self.is_running(), "the server ended:\n{}", self.log());
            let answer = Connection::open(port).ok()?.text("PING");
            (answer == "PONG").then_some(())
        });
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; gives the exit code and the time that the end took.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, Duration) {
        let mut child = self.child.take().expect("the server runs");
        let begin = Instant::now();
        send_signal("TERM", &child);
        let status = until("the server ends after SIGTERM", || child.try_wait().unwrap());
        (status.code(), begin.elapsed())
    }

    /// Sends a signal to the running process.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(name, self.child.as_ref().expect("the server runs"));
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn open(&self) -> Connection {
        Connection::open(self.port).unwrap()
    }

    /// One command on a connection of its own, as text.
    pub(crate) fn ask(&self, words: &str) -> String {
        match Connection::open(self.port) {
            Ok(mut connection) => connection.text(words),
            Err(error) => format!("!{error}"),
        }
    }

    /// An authenticated connection to the control port.
    pub(crate) fn control(&self) -> Connection {
        let mut connection = Connection::open(self.control_port).unwrap();
        assert_eq!(connection.text(&format!("AUTH holdfast {PASSWORD}")), "OK");
        connection
    }

    /// `HOLDFAST STATE`, parsed.
    pub(crate) fn state(&self) -> holdfast_wire::state::NodeState {
        serde_json::from_str(&self.control().text("HOLDFAST STATE")).unwrap()
    }

    pub(crate) fn id(&self) -> String {
        self.ask("CLUSTER MYID")
    }

    /// A field of CLUSTER INFO.
    pub(crate) fn info(&self, field: &str) -> String {
        let text = self.ask("CLUSTER INFO");
        let prefix = format!("{field}:");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or("").trim().to_owned()
    }
}

fn send_signal(name: &str, child: &Child) {
    let kill = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(25).collect();
            eprintln!("--- the last lines of the server at port {}", self.port);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// Nodes that redis-cli has made into a cluster.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
    _root: tempfile::TempDir,
}

impl Cluster {
    /// `primaries * (1 + replicas)` nodes joined by `redis-cli --cluster create`.
    pub(crate) fn create(primaries: usize, replicas: usize, extra: &[&str]) -> Self {
        let count = primaries * (1 + replicas);
        Self::create_of(|root| (0..count).map(|_| Server::node(root, extra)).collect(), replicas)
    }

    /// The same of nodes that `start` makes below a folder.
    pub(crate) fn create_of(start: impl FnOnce(&Path) -> Vec<Server>, replicas: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let nodes = start(root.path());
        let mut args = vec!["--cluster".to_owned(), "create".to_owned()];
        args.extend(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        args.extend(
            ["--cluster-replicas", &replicas.to_string(), "--cluster-yes"].map(str::to_owned),
        );
        let output = redis_cli(&args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("[OK] All 16384 slots covered."), "{said}");
        let cluster = Self { nodes, _root: root };
        cluster.wait_ok();
        cluster
    }

    /// Waits until every running node sees a healthy cluster and every replica is in sync.
    pub(crate) fn wait_ok(&self) {
        for node in &self.nodes {
            until(&format!("{} sees the cluster ok", node.port), || {
                (node.info("cluster_state") == "ok").then_some(())
            });
            until(&format!("{} is in sync", node.port), || {
                let state = node.state();
                let replica = state.role == holdfast_wire::state::NodeRole::Replica;
                (!replica || state.link_up).then_some(())
            });
        }
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }
}

/// Runs Debian's redis-cli to its end.
pub(crate) fn redis_cli(args: &[String]) -> Output {
    Command::new("redis-cli").args(args).stdin(Stdio::null()).output().unwrap()
}
