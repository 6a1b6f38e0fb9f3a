//! Starts a node on a free port, and speaks to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use holdfast_wire::resp::request::encode;
use holdfast_wire::resp::value::{Parser, Value};

/// How long anything may take before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A node that ends with the test.
pub(crate) struct Node {
    child: Child,
    pub(crate) port: u16,
    pub(crate) dir: tempfile::TempDir,
}

/// A port that was free a moment ago, below those that the kernel gives to clients.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..200 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() * 37 + number * 7) % 9_000;
        if TcpListener::bind(("127.0.0.1", port as u16)).is_ok() {
            return port as u16;
        }
    }
    panic!("no free port");
}

/// The program with its arguments, not yet started.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-node"));
    command.args(args);
    command
}

/// Runs the program to its end.
pub(crate) fn run_to_end(args: &[&str]) -> Output {
    program(args).output().unwrap()
}

/// True once it answers; its own process id tells it from another node on that port.
fn comes_up(child: &mut Child, port: u16) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
            return child.try_wait().unwrap().is_none();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

impl Node {
    /// A node with these arguments, serving.
    pub(crate) fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, args)
    }

    /// A node over a directory that may hold files.
    pub(crate) fn start_in(dir: tempfile::TempDir, args: &[&str]) -> Self {
        let path = dir.path().to_str().unwrap().to_owned();
        for _ in 0..20 {
            let port = free_port();
            let number = port.to_string();
            let mut all: Vec<&str> = args.to_vec();
            all.extend(["--port", &number, "--dir", &path, "--bind", "127.0.0.1"]);
            let mut child = program(&all).stdout(Stdio::null()).spawn().unwrap();
            // Another test may have taken the port first: then this one ends by itself.
            if comes_up(&mut child, port) {
                return Self { child, port, dir };
            }
            child.wait().unwrap();
        }
        panic!("the node does not come up");
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Path of its directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Sends SIGTERM and waits for the end; gives the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.wait()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// True while the process runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    parser: Parser,
    inbox: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Speaks over a socket that is connected.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, parser: Parser::default(), inbox: Vec::new() }
    }

    pub(crate) fn send(&mut self, words: &[&str]) {
        self.socket.write_all(&encode(words)).unwrap();
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next reply; `None` when the node has closed the connection.
    pub(crate) fn try_receive(&mut self) -> Option<Value> {
        loop {
            if let Some((value, used)) = self.parser.next(&self.inbox).unwrap() {
                self.inbox.drain(..used);
                return Some(value);
            }
            let mut chunk = vec![0; 65536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    pub(crate) fn receive(&mut self) -> Value {
        self.try_receive().expect("the node has closed the connection")
    }

    pub(crate) fn call(&mut self, words: &[&str]) -> Value {
        self.send(words);
        self.receive()
    }

    /// A request in words, its reply as text: errors with a dash, arrays in brackets.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        text(&self.call(&words))
    }

    /// Like [`Client::ask`]; `None` when the node hangs up.
    pub(crate) fn try_ask(&mut self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.socket.write_all(&encode(&words)).ok()?;
        self.try_receive().map(|value| text(&value))
    }

    /// Nothing has come and nothing comes for a moment.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let silent = matches!(
            self.socket.peek(&mut byte),
            Err(error) if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            )
        );
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        silent && self.inbox.is_empty()
    }
}

/// A reply as one line.
pub(crate) fn text(value: &Value) -> String {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value {
        Value::Simple(bytes) | Value::Bulk(bytes) => lossy(bytes),
        Value::Error(bytes) => format!("-{}", lossy(bytes)),
        Value::Integer(number) => number.to_string(),
        Value::Null => "nil".to_owned(),
        Value::Array(all) => format!("[{}]", all.iter().map(text).collect::<Vec<_>>().join(" ")),
        other => format!("{other:?}"),
    }
}

/// Asks again and again until the answer is as wished.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("never: {what}");
}

/// A number of INFO.
pub(crate) fn info(client: &mut Client, field: &str) -> String {
    let all = client.ask("INFO everything");
    let line = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}
