//! A small blocking client for tests: one connection, and a cluster client that follows MOVED,
//! ASK and TRYAGAIN.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use holdfast_wire::resp::{Value, request};
use holdfast_wire::slot::key_slot;

/// One connection.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        Self::open_for(port, Duration::from_secs(5))
    }

    pub(crate) fn open_for(port: u16, patience: Duration) -> io::Result<Self> {
        let address = ([127, 0, 0, 1], port).into();
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        self.reader.get_mut().write_all(&request::encode(args))?;
        read_value(&mut self.reader)
    }

    /// What comes next, as text.
    pub(crate) fn next(&mut self) -> String {
        read_value(&mut self.reader).map_or_else(|error| format!("!{error}"), |v| text(&v))
    }

    /// The reply as text: a bulk string, a status, a number or an error with its dash.
    pub(crate) fn text(&mut self, words: &str) -> String {
        let args: Vec<&str> = words.split_whitespace().collect();
        match self.call(&args) {
            Ok(value) => text(&value),
            Err(error) => format!("!{error}"),
        }
    }
}

/// A reply as one line for comparison.
pub(crate) fn text(value: &Value) -> String {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match value {
        Value::Simple(bytes) | Value::Bulk(bytes) => lossy(bytes),
        Value::Error(bytes) => format!("-{}", lossy(bytes)),
        Value::Integer(n) => n.to_string(),
        Value::Null => "(nil)".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn read_value(reader: &mut impl BufRead) -> io::Result<Value> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.len().saturating_sub(2));
    let rest = line[1..].to_vec();
    let number = || -> io::Result<i64> {
        let text = std::str::from_utf8(&rest).map_err(io::Error::other)?;
        text.parse().map_err(io::Error::other)
    };
    Ok(match line[0] {
        b'+' => Value::Simple(rest),
        b'-' => Value::Error(rest),
        b':' => Value::Integer(number()?),
        b'$' | b'*' if number()? < 0 => Value::Null,
        b'$' => {
            let mut bytes = vec![0; number()? as usize + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Value::Bulk(bytes)
        }
        b'*' => {
            let mut items = Vec::new();
            for _ in 0..number()? {
                items.push(read_value(reader)?);
            }
            Value::Array(items)
        }
        other => return Err(io::Error::other(format!("a reply that begins with {other}"))),
    })
}

/// A client of the whole cluster. It begins at any of `ports` and learns the rest by redirection.
pub(crate) struct ClusterClient {
    ports: Vec<u16>,
    connections: HashMap<u16, Connection>,
    owners: HashMap<u16, u16>,
}

impl ClusterClient {
    pub(crate) fn new(ports: &[u16]) -> Self {
        Self { ports: ports.to_vec(), connections: HashMap::new(), owners: HashMap::new() }
    }

    /// Calls `args`, whose second word is the key, until a node answers or the time is over.
    ///
    /// `Err` is "unknown": the request may or may not have been executed. A redirection or a
    /// refusal is certain not to have been, so it is tried again.
    pub(crate) fn call<A: AsRef<[u8]>>(
        &mut self,
        args: &[A],
        patience: Duration,
    ) -> io::Result<Value> {
        let until = Instant::now() + patience;
        let slot = key_slot(args[1].as_ref()).0;
        let mut port = *self.owners.get(&slot).unwrap_or(&self.ports[slot as usize % 3]);
        let mut asking = false;
        let mut turn = 0;
        loop {
            if Instant::now() > until {
                return Err(io::Error::other(format!("no answer for slot {slot} in time")));
            }
            let value = match self.call_at(port, args, asking)? {
                Some(value) => value,
                None => {
                    // Refused before anything was sent: another node may know better.
                    turn += 1;
                    asking = false;
                    port = self.ports[turn % self.ports.len()];
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
            };
            let Value::Error(error) = &value else { return Ok(value) };
            let error = String::from_utf8_lossy(error).into_owned();
            let mut words = error.split(' ');
            match words.next() {
                Some(kind @ ("MOVED" | "ASK")) => {
                    let address = words.nth(1).unwrap_or_default();
                    port = address.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap();
                    asking = kind == "ASK";
                    if !asking {
                        self.owners.insert(slot, port);
                    }
                }
                Some("TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "READONLY" | "MASTERDOWN") => {
                    asking = false;
                    turn += 1;
                    port = self.ports[turn % self.ports.len()];
                    std::thread::sleep(Duration::from_millis(5));
                }
                _ => return Ok(value),
            }
        }
    }

    /// `Ok(None)`: the node is not there and nothing was sent.
    fn call_at<A: AsRef<[u8]>>(
        &mut self,
        port: u16,
        args: &[A],
        asking: bool,
    ) -> io::Result<Option<Value>> {
        let connection = match self.connections.entry(port) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => match Connection::open(port) {
                Ok(connection) => place.insert(connection),
                Err(_) => return Ok(None),
            },
        };
        let answer = (|| {
            if asking {
                connection.call(&["ASKING"])?;
            }
            connection.call(args)
        })();
        if answer.is_err() {
            self.connections.remove(&port);
        }
        answer.map(Some)
    }
}
