//! Users and what they may do.
//!
//! ```text
//!   client ──> user ──> selector   +@read ~cache:*
//!                  └──> selector   (+@write %W~log:* &news)      one of them must fit
//! ```
//!
//! A client holds its user, so that a request costs no search; a user that changes is replaced in
//! all clients that hold it. A user that may everything costs one comparison a request. Requests
//! are checked when they come, again at EXEC, and again when a blocked one goes on, since rights
//! may have changed.
//!
//! Not here: the operator's user, which exists on the control port alone and is never listed.

pub mod commands;
mod file;
mod log;
mod rule;
mod selector;
mod user;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub use file::{FileError, load, load_at_start, save};
pub use log::{AclLog, Entry};
pub use rule::RuleError;
pub use selector::{Denied, Selector};
pub use user::{User, hex};

use crate::clients::ClientId;
use crate::commands::{Command, CommandError};
use crate::config::{Config, Name};
use crate::core::Core;

/// The user of connections that have not said who they are.
pub const DEFAULT: &[u8] = b"default";

/// A user that may everything, for clients that nobody has connected.
pub fn anybody() -> Arc<User> {
    static ANYBODY: LazyLock<Arc<User>> = LazyLock::new(|| Arc::new(User::default_user()));
    Arc::clone(&ANYBODY)
}

/// All users.
#[derive(Debug)]
pub struct Acl {
    users: BTreeMap<Vec<u8>, Arc<User>>,
    default: Arc<User>,
    /// What was refused.
    pub log: AclLog,
    /// The `requirepass` that the default user has taken over.
    password: Option<String>,
}

impl Default for Acl {
    fn default() -> Self {
        let default = Arc::new(User::default_user());
        let users = BTreeMap::from([(DEFAULT.to_vec(), Arc::clone(&default))]);
        Acl { users, default, log: AclLog::default(), password: Some(String::new()) }
    }
}

impl Acl {
    /// The user of new connections.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// True when new connections need not log in.
    pub fn is_open(&self) -> bool {
        self.default.enabled && self.default.no_password
    }

    /// The user of that name.
    pub fn find(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// All users by name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The user that this password lets in. The password is hashed and compared in any case, so
    /// that the time does not tell which names exist.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        let hash = user::hash(password);
        let found = self.users.get(name);
        let lets_in = found.unwrap_or(&self.default).lets_in(&hash);
        found.filter(|_| lets_in).cloned()
    }

    /// The next look at `requirepass` counts although it says the same.
    pub fn forget_requirepass(&mut self) {
        self.password = None;
    }

    fn put(&mut self, user: Arc<User>) {
        if user.name == DEFAULT {
            self.default = Arc::clone(&user);
        }
        self.users.insert(user.name.clone(), user);
    }
}

/// Whether users begin with all channels (`acl-pubsub-default`).
pub fn begins_with_all_channels(config: &Config) -> bool {
    config.text(Name::AclPubsubDefault) == "allchannels"
}

/// A new or changed user takes effect: for new requests of all its connections. Subscriptions
/// that it lost end together with their connections.
pub fn put(core: &mut Core, user: User) {
    let user = Arc::new(user);
    core.acl.put(Arc::clone(&user));
    let mut lost = Vec::new();
    for client in core.clients.iter_mut().filter(|client| client.user.name == user.name) {
        client.user = Arc::clone(&user);
        let heard = &client.subscriptions;
        let mut channels = heard.channels.iter().chain(&heard.shard);
        if channels.any(|channel| !user.allows_channel(channel, false))
            || heard.patterns.iter().any(|pattern| !user.allows_channel(pattern, true))
        {
            lost.push(client.id);
        }
    }
    end(core, &lost);
}

/// Removes a user and ends its connections; false when there is none.
pub fn remove(core: &mut Core, name: &[u8]) -> bool {
    if core.acl.users.remove(name).is_none() {
        return false;
    }
    end_all_of(core, |user| user.name == name);
    true
}

fn end_all_of(core: &mut Core, ends: impl Fn(&User) -> bool) {
    let connected = core.clients.iter().filter(|client| !client.kind.is_own());
    let ended: Vec<ClientId> = connected.filter(|c| ends(&c.user)).map(|c| c.id).collect();
    end(core, &ended);
}

/// Ends connections; the one whose request runs gets its reply first.
fn end(core: &mut Core, clients: &[ClientId]) {
    for id in clients {
        if core.executing == Some(*id) {
            core.close_after_reply(*id);
        } else {
            core.close(*id);
        }
    }
}

/// `requirepass` is the default user's password. Called when the configuration has changed; does
/// nothing while `requirepass` itself stays.
pub fn follow_requirepass(core: &mut Core) {
    let password = core.config.text(Name::Requirepass);
    if core.acl.password.as_deref() == Some(password) {
        return;
    }
    let password = password.to_owned();
    let mut user = User::clone(&core.acl.default);
    let rule = if password.is_empty() { "nopass".to_owned() } else { format!(">{password}") };
    // Both rules are known, so that there is nothing to report.
    let _ = user.apply(b"resetpass", false);
    let _ = user.apply(rule.as_bytes(), false);
    core.acl.password = Some(password);
    put(core, user);
}

/// Whether a client's request may run. A refusal is logged.
pub fn check(
    core: &mut Core,
    id: ClientId,
    command: &Command,
    args: &[&[u8]],
    context: &'static str,
) -> Result<(), Denied> {
    let Some(client) = core.clients.get(id) else { return Ok(()) };
    if client.kind.is_own() || client.user.is_unrestricted() {
        return Ok(());
    }
    let checked = client.user.check(command, args);
    if let Err(denied) = checked {
        let username = client.user.name.clone();
        let at = |at: usize| args.get(at).copied().unwrap_or_default().to_vec();
        let (reason, object) = match denied {
            Denied::Command => ("command", commands::full_name(command).into_bytes()),
            Denied::Key(place) => ("key", at(place)),
            Denied::Channel(place) => ("channel", at(place)),
        };
        log_refusal(core, id, reason, context, object, username);
    }
    checked
}

/// Adds a refusal to ACL LOG.
pub fn log_refusal(
    core: &mut Core,
    id: ClientId,
    reason: &'static str,
    context: &'static str,
    object: Vec<u8>,
    username: Vec<u8>,
) {
    let at_ms = core.now_ms;
    let client = crate::commands::client::described(core, id);
    let entry = Entry { count: 1, reason, context, object, username, at_ms, client };
    core.acl.log.add(entry, core.config.size(Name::AcllogMaxLen));
}

/// What a client is told.
pub fn refusal(denied: Denied, command: &Command) -> CommandError {
    match denied {
        Denied::Command => CommandError::text(format!(
            "NOPERM this user has no permissions to run the '{}' command",
            commands::full_name(command)
        )),
        Denied::Key(_) => CommandError::new(
            "NOPERM this user has no permissions to access one of the keys used as arguments",
        ),
        Denied::Channel(_) => CommandError::new(
            "NOPERM this user has no permissions to access one of the channels used as arguments",
        ),
    }
}

/// What a client is told about a request that was queued while it was allowed.
pub fn refusal_at_exec(denied: Denied) -> CommandError {
    let reason = match denied {
        Denied::Command => "no permission to execute the command or subcommand",
        Denied::Key(_) => "no permission to touch the specified keys",
        Denied::Channel(_) => {
            "no permission to access one of the channels used as argument to the command"
        }
    };
    CommandError::text(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
         EXEC call. This command is no longer allowed for the following reason: {reason}"
    ))
}

/// What a script is told.
pub fn refusal_in_script(denied: Denied) -> CommandError {
    let reason = match denied {
        Denied::Command => "can't run this command or subcommand",
        Denied::Key(_) => {
            "can't access at least one of the keys mentioned in the command arguments"
        }
        Denied::Channel(_) => "can't publish to the channel mentioned in the command",
    };
    CommandError::text(format!("ERR The user executing the script {reason}"))
}

/// Whether a client's request may read keys that its words do not name (SORT BY and GET).
pub fn reads_all_keys(core: &Core, id: ClientId, command: &Command, args: &[&[u8]]) -> bool {
    core.clients.get(id).is_none_or(|client| {
        client.user.is_unrestricted() || client.user.reads_all_keys(command, args)
    })
}

/// The users as lines of the configuration file; none where they live in an ACL file, or where
/// there is only the default user as `requirepass` makes it.
pub fn config_lines(core: &Core) -> Vec<Vec<u8>> {
    let as_configured = {
        let mut user = User::default_user();
        let password = core.config.text(Name::Requirepass);
        if !password.is_empty() {
            let _ = user.apply(format!(">{password}").as_bytes(), false);
        }
        user
    };
    if !core.config.text(Name::Aclfile).is_empty() {
        return Vec::new();
    }
    let users = core.acl.users().filter(|user| ***user != as_configured);
    users.map(|user| user.line()).collect()
}

/// Joins the words of selectors that were split at spaces; the error is the word that opened one
/// that nobody closed.
pub fn joined_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut rules: Vec<Vec<u8>> = Vec::with_capacity(words.len());
    let mut open: Option<(Vec<u8>, Vec<u8>)> = None;
    for word in words {
        let (opened_by, so_far) = match open.take() {
            Some((opened_by, so_far)) => (opened_by, [so_far.as_slice(), b" ", word].concat()),
            None if word.first() == Some(&b'(') => (word.to_vec(), word.to_vec()),
            None => {
                rules.push(word.to_vec());
                continue;
            }
        };
        if word.last() == Some(&b')') {
            rules.push(so_far);
        } else {
            open = Some((opened_by, so_far));
        }
    }
    open.map_or(Ok(rules), |(opened_by, _)| Err(opened_by))
}

/// Whether a name can be a user's.
pub fn is_name(name: &[u8]) -> bool {
    !name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0 || *byte == 0x0b)
}

#[cfg(test)]
mod tests;
