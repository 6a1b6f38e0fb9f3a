//! A selector: commands, the keys that they may touch, the channels that they may use.
//!
//! A request must fit one selector in all three. Not known here: whose selector it is.

use holdfast_store::glob;

use super::commands::CommandSet;
use super::rule::RuleError;
use crate::commands::{Command, KeyUse};
use crate::keys;

/// Keys that may be read, written, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyPattern {
    reads: bool,
    writes: bool,
    pattern: Vec<u8>,
}

/// What stops a request; ordered by how much of it was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command.
    Command,
    /// The key at this argument.
    Key(usize),
    /// The channel at this argument.
    Channel(usize),
}

/// One selector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    commands: CommandSet,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Vec<u8>>,
}

impl Selector {
    /// A selector that allows nothing but, where that is the default, all channels.
    pub fn new(all_channels: bool) -> Self {
        Selector { all_channels, ..Selector::default() }
    }

    /// True when it allows everything.
    pub fn is_unrestricted(&self) -> bool {
        self.all_keys && self.all_channels && self.commands.is_all()
    }

    /// Applies a rule.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            b"resetkeys" => {
                self.all_keys = false;
                self.keys.clear();
            }
            b"allchannels" | b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.all_channels = false;
                self.channels.clear();
            }
            b"allcommands" => self.commands.apply(true, "@all")?,
            b"nocommands" => self.commands.apply(false, "@all")?,
            _ => self.apply_marked(rule)?,
        }
        Ok(())
    }

    /// Rules that begin with a mark.
    fn apply_marked(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let (mark, rest) = rule.split_first().ok_or(RuleError::Syntax)?;
        match mark {
            b'~' => self.add_keys(true, true, rest),
            b'%' => {
                if self.all_keys {
                    return Err(RuleError::AllKeysAlready);
                }
                let (mut reads, mut writes, mut rest) = (false, false, rest);
                while let Some((letter, behind)) = rest.split_first() {
                    rest = behind;
                    match letter {
                        b'r' | b'R' if !reads => reads = true,
                        b'w' | b'W' if !writes => writes = true,
                        b'~' => break,
                        _ => return Err(RuleError::Syntax),
                    }
                }
                if !reads && !writes {
                    return Err(RuleError::Syntax);
                }
                self.add_keys(reads, writes, rest)
            }
            b'&' => {
                if self.all_channels {
                    return Err(RuleError::AllChannelsAlready);
                }
                check_pattern(rest)?;
                if !self.channels.iter().any(|known| known == rest) {
                    self.channels.push(rest.to_vec());
                }
                Ok(())
            }
            b'+' | b'-' => {
                let what = std::str::from_utf8(rest).map_err(|_| RuleError::UnknownCommand)?;
                self.commands.apply(*mark == b'+', what)
            }
            _ => Err(RuleError::Syntax),
        }
    }

    fn add_keys(&mut self, reads: bool, writes: bool, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AllKeysAlready);
        }
        check_pattern(pattern)?;
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => {
                known.reads |= reads;
                known.writes |= writes;
            }
            None => self.keys.push(KeyPattern { reads, writes, pattern: pattern.to_vec() }),
        }
        Ok(())
    }

    /// Whether a request may run.
    pub fn check(&self, command: &Command, args: &[&[u8]]) -> Result<(), Denied> {
        if !self.commands.allows(command, args) {
            return Err(Denied::Command);
        }
        if !self.all_keys {
            let mut refused = None;
            keys::visit(command, args, |at, usage| {
                let key = args.get(at).copied().unwrap_or_default();
                let usage = as_asked(command, args, usage);
                if refused.is_none() && usage != KeyUse::NotKey && !self.allows_key(key, usage) {
                    refused = Some(Denied::Key(at));
                }
            });
            refused.map_or(Ok(()), Err)?;
        }
        if self.all_channels {
            return Ok(());
        }
        let Some((channels, is_pattern)) = channels_of(command, args.len()) else { return Ok(()) };
        for at in channels {
            let channel = args.get(at).copied().unwrap_or_default();
            if !self.allows_channel(channel, is_pattern) {
                return Err(Denied::Channel(at));
            }
        }
        Ok(())
    }

    fn allows_key(&self, key: &[u8], usage: KeyUse) -> bool {
        let names = usage.names();
        let reads = names.contains(&"access");
        let writes = ["update", "insert", "delete"].iter().any(|name| names.contains(name));
        self.keys.iter().any(|known| {
            (known.reads || !reads)
                && (known.writes || !writes)
                && glob::matches(&known.pattern, key)
        })
    }

    /// Whether a channel may be used; a pattern to subscribe to must be allowed as it stands.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|known| {
                if is_pattern { known == channel } else { glob::matches(known, channel) }
            })
    }

    /// Whether a request may run that reads keys which its words do not name.
    pub fn reads_all_keys(&self, command: &Command, args: &[&[u8]]) -> bool {
        let any = |known: &KeyPattern| known.reads && known.pattern == b"*";
        (self.all_keys || self.keys.iter().any(any)) && self.check(command, args).is_ok()
    }

    /// Its commands as rules.
    pub fn shown_commands(&self) -> String {
        self.commands.shown()
    }

    /// Its keys as rules.
    pub fn shown_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let one = |known: &KeyPattern| {
            let mark: &[u8] = match (known.reads, known.writes) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [mark, &known.pattern].concat()
        };
        self.keys.iter().map(one).collect::<Vec<_>>().join(&b' ')
    }

    /// Its channels as rules.
    pub fn shown_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let one = |channel: &Vec<u8>| [b"&", channel.as_slice()].concat();
        self.channels.iter().map(one).collect::<Vec<_>>().join(&b' ')
    }

    /// All of it as rules that make it again.
    pub fn shown(&self) -> Vec<u8> {
        let reset: &[u8] = if self.all_channels { b"" } else { b"resetchannels" };
        let commands = self.shown_commands().into_bytes();
        let parts = [self.shown_keys(), reset.to_vec(), self.shown_channels(), commands];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b' ')
    }
}

fn check_pattern(pattern: &[u8]) -> Result<(), RuleError> {
    let splits = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0 || *byte == 0x0b;
    if pattern.iter().any(splits) { Err(RuleError::Syntax) } else { Ok(()) }
}

/// What a request does with a key, where the arguments say it.
fn as_asked(command: &Command, args: &[&[u8]], usage: KeyUse) -> KeyUse {
    let says =
        |from: usize, word: &[u8]| args.iter().skip(from).any(|arg| arg.eq_ignore_ascii_case(word));
    match (command.container, command.name) {
        ("", "set") if !says(3, b"get") => KeyUse::Overwrite,
        ("", "bitfield") if !says(2, b"set") && !says(2, b"incrby") => KeyUse::Read,
        _ => usage,
    }
}

/// Which arguments are channels, and whether they are patterns.
fn channels_of(command: &Command, count: usize) -> Option<(std::ops::Range<usize>, bool)> {
    match (command.container, command.name) {
        ("", "publish" | "spublish") => Some((1..2, false)),
        ("", "subscribe" | "ssubscribe") => Some((1..count, false)),
        ("", "psubscribe") => Some((1..count, true)),
        _ => None,
    }
}
