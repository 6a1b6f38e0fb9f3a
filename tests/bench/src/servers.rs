//! Servers that are started for a measurement and ended after it.
//!
//! Not known here: what is measured.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Client;

/// The slots of a primary in a cluster of three.
pub const SLOTS_END: u16 = 5460;

/// How long a server may take to serve.
const START: Duration = Duration::from_secs(20);

/// A server that can be started.
pub struct Program {
    /// Its binary.
    pub path: PathBuf,
    /// Its port on loopback.
    pub port: u16,
    /// Its core.
    pub core: usize,
    /// Whether it serves a third of the slots, or everything.
    pub cluster: bool,
}

/// A server that runs until this is dropped.
pub struct Server {
    child: Child,
    port: u16,
    // Removed when the server has ended.
    _dir: tempfile::TempDir,
}

/// Keeps the load on one core.
pub fn pin_this_process(core: usize) -> Result<(), Failure> {
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", &core.to_string(), &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err("failed to pin the load to its core".into()) }
}

impl Program {
    /// Starts it and waits until it serves.
    pub fn start(&self) -> Result<Server, Failure> {
        if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            return Err(format!("somebody listens on port {} already", self.port).into());
        }
        let dir = tempfile::tempdir()?;
        let port = self.port.to_string();
        let mut command = Command::new("taskset");
        command.args(["-c", &self.core.to_string()]).arg(&self.path);
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(dir.path());
        if self.cluster {
            command.args(["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Server { child, port: self.port, _dir: dir };
        let began = Instant::now();
        let mut client = loop {
            match server.client() {
                Ok(client) => break client,
                Err(error) if began.elapsed() > START => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        if self.cluster {
            client.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", &SLOTS_END.to_string()])?;
            while client.ask(&["CLUSTER", "INFO"])?.windows(8).all(|text| text != b"state:ok") {
                if began.elapsed() > START {
                    return Err(format!("{} does not serve", self.path.display()).into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(server)
    }
}

impl Server {
    /// A connection to it.
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(TcpStream::connect(("127.0.0.1", self.port))?)?)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Processor time of all its threads so far, in nanoseconds.
    pub fn cpu_ns(&self) -> Result<u64, Failure> {
        let mut total = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            total += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(total)
    }

    /// Its memory as the kernel counts it.
    pub fn rss_bytes(&self) -> Result<u64, Failure> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib = line.split_whitespace().next().unwrap_or_default().parse::<u64>()?;
        Ok(kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
