//! A user: whether and how to log in, and what is allowed then.
//!
//! Passwords are kept as SHA-256 only. Not known here: which other users there are.

use ring::digest::{SHA256, digest};

use super::rule::RuleError;
use super::selector::{Denied, Selector};
use crate::commands::Command;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: Vec<u8>,
    /// May log in.
    pub enabled: bool,
    /// Any password is right.
    pub no_password: bool,
    /// What was said about payloads of RESTORE; they are checked whatever it was.
    sanitize: Option<bool>,
    /// Hashes in hexadecimal.
    passwords: Vec<String>,
    /// The rules outside of parentheses.
    root: Selector,
    /// The rules in parentheses.
    more: Vec<Selector>,
    unrestricted: bool,
}

impl User {
    /// A user that may nothing. `all_channels` is `acl-pubsub-default`.
    pub fn new(name: &[u8], all_channels: bool) -> Self {
        User {
            name: name.to_vec(),
            enabled: false,
            no_password: false,
            sanitize: None,
            passwords: Vec::new(),
            root: Selector::new(all_channels),
            more: Vec::new(),
            unrestricted: false,
        }
    }

    /// The user of every new connection: may everything, needs no password.
    pub fn default_user() -> Self {
        let mut user = User::new(b"default", true);
        user.enabled = true;
        user.no_password = true;
        for rule in [&b"+@all"[..], b"~*"] {
            // Both rules are known, so that there is nothing to report.
            let _ = user.root.apply(rule);
        }
        user.unrestricted = true;
        user
    }

    /// True when every request may run; such a user costs nothing to check.
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Applies a rule. `all_channels` is `acl-pubsub-default`, for `reset`.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        self.apply_one(rule, all_channels)?;
        let mut selectors = std::iter::once(&self.root).chain(&self.more);
        self.unrestricted = selectors.any(Selector::is_unrestricted);
        Ok(())
    }

    fn apply_one(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.no_password = false;
                self.passwords.clear();
            }
            b"sanitize-payload" => self.sanitize = Some(true),
            b"skip-sanitize-payload" => self.sanitize = Some(false),
            b"clearselectors" => self.more.clear(),
            b"reset" => {
                *self = User::new(&self.name, all_channels);
                self.sanitize = Some(true);
            }
            _ => return self.apply_marked(rule),
        }
        Ok(())
    }

    fn apply_marked(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule {
            [b'>', password @ ..] => self.add_hash(hash(password)),
            [b'#', hash @ ..] => self.add_hash(checked_hash(hash)?),
            [b'<', password @ ..] => self.remove_hash(&hash(password))?,
            [b'!', hash @ ..] => self.remove_hash(&checked_hash(hash)?)?,
            [b'(', rules @ .., b')'] => {
                let mut selector = Selector::default();
                for rule in rules.split(u8::is_ascii_whitespace).filter(|rule| !rule.is_empty()) {
                    selector.apply(rule)?;
                }
                self.more.push(selector);
            }
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    fn add_hash(&mut self, hash: String) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.no_password = false;
    }

    fn remove_hash(&mut self, hash: &str) -> Result<(), RuleError> {
        let known = self.passwords.len();
        self.passwords.retain(|password| password != hash);
        if self.passwords.len() == known { Err(RuleError::NoSuchPassword) } else { Ok(()) }
    }

    /// Whether a password's hash lets the user in. Takes as long whichever password it is, and
    /// whether one is right.
    pub fn lets_in(&self, hash: &str) -> bool {
        let mut right = false;
        for password in &self.passwords {
            right |= same_without_telling(password.as_bytes(), hash.as_bytes());
        }
        self.enabled && (self.no_password || right)
    }

    /// Whether a request may run; where not, what the selector that came nearest says.
    pub fn check(&self, command: &Command, args: &[&[u8]]) -> Result<(), Denied> {
        let mut nearest = Denied::Command;
        for selector in self.selectors() {
            match selector.check(command, args) {
                Ok(()) => return Ok(()),
                Err(denied) => nearest = nearest.max(denied),
            }
        }
        Err(nearest)
    }

    /// Whether a request may run that reads keys which its words do not name (SORT BY).
    pub fn reads_all_keys(&self, command: &Command, args: &[&[u8]]) -> bool {
        self.selectors().any(|selector| selector.reads_all_keys(command, args))
    }

    /// Whether a subscription may stay.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.more)
    }

    /// The rules outside of parentheses.
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// The rules in parentheses.
    pub fn more(&self) -> &[Selector] {
        &self.more
    }

    /// Hashes of its passwords.
    pub fn passwords(&self) -> &[String] {
        &self.passwords
    }

    /// Its flags in the order of ACL GETUSER.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        match self.sanitize {
            Some(true) => flags.push("sanitize-payload"),
            Some(false) => flags.push("skip-sanitize-payload"),
            None => {}
        }
        flags
    }

    /// The line of ACL LIST, which makes the user again.
    pub fn line(&self) -> Vec<u8> {
        let mut line = [b"user ", self.name.as_slice()].concat();
        let mut add = |word: &[u8]| {
            line.push(b' ');
            line.extend_from_slice(word);
        };
        self.flags().iter().for_each(|flag| add(flag.as_bytes()));
        self.passwords.iter().for_each(|hash| add(format!("#{hash}").as_bytes()));
        add(&self.root.shown());
        for selector in &self.more {
            add(&[b"(", selector.shown().as_slice(), b")"].concat());
        }
        line
    }
}

/// The hash of a password, in hexadecimal.
pub fn hash(password: &[u8]) -> String {
    hex(digest(&SHA256, password).as_ref())
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn checked_hash(text: &[u8]) -> Result<String, RuleError> {
    let digits = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match String::from_utf8(text.to_vec()) {
        Ok(hash) if digits && hash.len() == 64 => Ok(hash),
        _ => Err(RuleError::BadHash),
    }
}

/// Compares two hashes of one length in a time that does not tell where they differ.
fn same_without_telling(one: &[u8], other: &[u8]) -> bool {
    let mut difference = one.len() ^ other.len();
    for (a, b) in one.iter().zip(other) {
        difference |= usize::from(a ^ b);
    }
    std::hint::black_box(difference) == 0
}
