//! Real processes on loopback, and a small blocking client. All end with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_wire::resp::request::encode;

/// How long a test waits for what must come soon.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `check` gives something; says what it waited for when it does not.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub fn send(&mut self, args: &[&str]) -> std::io::Result<()> {
        self.write(&encode(args))
    }

    /// Requests as bytes.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub fn call(&mut self, args: &[&str]) -> std::io::Result<String> {
        self.send(args)?;
        self.read()
    }

    pub fn pipeline(&mut self, requests: &[u8], replies: usize) -> Vec<String> {
        let mut writer = self.0.get_ref().try_clone().unwrap();
        let bytes = requests.to_vec();
        let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let all = (0..replies).map(|_| self.read().unwrap()).collect();
        writing.join().unwrap();
        all
    }

    /// A reply as text.
    pub fn read(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1);
        Ok(match kind {
            "+" | ":" => rest.to_owned(),
            "$" if rest == "-1" => "(nil)".into(),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                String::from_utf8_lossy(&bytes).into_owned()
            }
            "*" if rest == "-1" => "(nil)".into(),
            "*" => {
                let items: std::io::Result<Vec<String>> =
                    (0..rest.parse::<usize>().unwrap()).map(|_| self.read()).collect();
                format!("[{}]", items?.join(", "))
            }
            _ => line.to_owned(),
        })
    }
}

/// A server of ours or a stock one.
pub struct Server {
    pub port: u16,
    pub dir: PathBuf,
    program: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// One of our nodes, outside a cluster unless `args` says otherwise.
    pub fn ours(root: &Path, args: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_holdfast-node").into(), root, args)
    }

    /// Debian's redis-server 7.0.
    pub fn stock(root: &Path, args: &[&str]) -> Self {
        Self::start("redis-server".into(), root, args)
    }

    fn start(program: PathBuf, root: &Path, extra: &[&str]) -> Self {
        let port = free_port();
        let dir = root.join(port.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let (text, place) = (port.to_string(), dir.display().to_string());
        let bus = free_port().to_string();
        let mut args: Vec<String> = [
            "--port",
            &text,
            "--cluster-port",
            &bus,
            "--bind",
            "127.0.0.1",
            "--dir",
            &place,
            "--save",
            "",
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend(extra.iter().map(|word| (*word).to_owned()));
        let mut server = Self { port, dir, program, args, child: None };
        server.launch();
        server.wait_ready();
        server
    }

    /// Starts the process and does not wait for it.
    pub fn launch(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub fn wait_ready(&self) {
        until("the server answers", || {
            let reply = Connection::open(self.port).and_then(|mut c| c.call(&["DBSIZE"])).ok()?;
            (!reply.starts_with("-LOADING")).then_some(())
        });
    }

    /// Like `kill -9`.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(0), "{}", self.log());
    }

    /// Waits for an end that comes by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        until("the server ends", || child.try_wait().unwrap()).code()
    }

    pub fn restart(&mut self) {
        self.launch();
        self.wait_ready();
    }

    /// For the next start; later words win.
    pub fn add_args(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|word| (*word).to_owned()));
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port).unwrap()
    }

    /// The reply to one command, its words separated by blanks.
    pub fn ask(&self, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        self.connect().call(&words).unwrap()
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> String {
        let all = self.ask("INFO everything");
        let start = format!("{field}:");
        let line = all.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or("").trim().to_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Many keys of all types, written in one go.
pub fn fill(server: &Server, from: usize, to: usize) {
    let mut requests = Vec::new();
    let mut count = 0;
    let mut say = |words: &[&str]| {
        requests.extend(encode(words));
        count += 1;
    };
    for n in from..to {
        let id = n.to_string();
        say(&["SET", &format!("string:{n}"), &format!("value {}", "x".repeat(n % 90))]);
        say(&["SET", &format!("number:{n}"), &id]);
        say(&["RPUSH", &format!("list:{}", n % 50), &id, &"y".repeat(n % 300)]);
        say(&["HSET", &format!("hash:{}", n % 20), &format!("field {n}"), &id]);
        if n % 7 == 0 {
            say(&["PEXPIREAT", &format!("string:{n}"), "33177117420000"]);
        }
    }
    let replies = server.connect().pipeline(&requests, count);
    assert!(replies.iter().all(|reply| !reply.starts_with('-')), "{:?}", replies.first());
}

/// Everything in the given databases, as one text that is equal when the data is.
pub fn content(server: &Server, databases: usize) -> String {
    let mut all = String::new();
    let mut connection = server.connect();
    for db in 0..databases {
        connection.call(&["SELECT", &db.to_string()]).unwrap();
        let keys = connection.call(&["KEYS", "*"]).unwrap();
        let inner = keys.trim_start_matches('[').trim_end_matches(']');
        let mut keys: Vec<&str> = inner.split(", ").filter(|key| !key.is_empty()).collect();
        keys.sort_unstable();
        for key in keys {
            let kind = connection.call(&["TYPE", key]).unwrap();
            let value = match kind.as_str() {
                "string" => connection.call(&["GET", key]).unwrap(),
                "list" => connection.call(&["LRANGE", key, "0", "-1"]).unwrap(),
                "hash" => sorted_hash(&mut connection, key),
                other => panic!("{key} is a {other}"),
            };
            let expiry = connection.call(&["PEXPIRETIME", key]).unwrap();
            all.push_str(&format!("{db} {key} {kind} {expiry} {value}\n"));
        }
    }
    all
}

fn sorted_hash(connection: &mut Connection, key: &str) -> String {
    let fields = connection.call(&["HGETALL", key]).unwrap();
    let fields = fields.trim_start_matches('[').trim_end_matches(']');
    let words: Vec<&str> = fields.split(", ").collect();
    let mut pairs: Vec<&[&str]> = words.chunks(2).collect();
    pairs.sort_unstable();
    format!("{pairs:?}")
}

/// The same content on both, soon.
pub fn wait_equal(a: &Server, b: &Server) {
    until("both have the same data", || (content(a, 2) == content(b, 2)).then_some(()));
}
