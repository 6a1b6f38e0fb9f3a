//! Users in files: the ACL file, and `user` lines of the configuration.
//!
//! An ACL file is read as a whole or not at all; each of its faults is told. Not known here: what
//! rules mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Acl, DEFAULT, User, begins_with_all_channels, end_all_of, joined_selectors};
use crate::config::{Config, Name};
use crate::core::Core;

/// A file of users that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No `aclfile` is configured.
    #[error(
        "This Redis instance is not configured to use an ACL file. You may want to specify users \
         via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
         configuration file set) in order to store users in the Redis configuration."
    )]
    NotConfigured,
    /// It cannot be read.
    #[error("Error loading ACLs, opening file '{}': {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It says what makes no sense.
    #[error(
        "{0} WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    )]
    Faults(String),
    /// It cannot be written.
    #[error(
        "There was an error trying to save the ACLs. Please check the server logs for more \
         information"
    )]
    Write(#[source] std::io::Error),
    /// Users stand in both places.
    #[error(
        "Configuring users in the configuration file and at the same time setting an ACL file \
         path is invalid. Please decide where the users should be"
    )]
    BothPlaces,
    /// A `user` line of the configuration.
    #[error("Error in user declaration '{rule}': {why}")]
    Line {
        /// The rule, or the name.
        rule: String,
        /// What is wrong.
        why: String,
    },
}

fn path(config: &Config) -> Option<PathBuf> {
    let name = config.text(Name::Aclfile);
    // The directory counts for a name that is not absolute.
    (!name.is_empty()).then(|| Path::new(config.text(Name::Dir)).join(name))
}

/// The users of the configuration or of the ACL file, when the node starts.
pub fn load_at_start(core: &mut Core) -> Result<(), FileError> {
    super::follow_requirepass(core);
    let config = Arc::clone(&core.config);
    if path(&config).is_some() {
        if !config.users.is_empty() {
            return Err(FileError::BothPlaces);
        }
        return load(core);
    }
    let all_channels = begins_with_all_channels(&config);
    for words in &config.users {
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let Some((name, rules)) = words.split_first() else { continue };
        let user = from_rules(name, rules, all_channels).map_err(|(rule, why)| {
            let rule = String::from_utf8_lossy(&rule).into_owned();
            FileError::Line { rule, why }
        })?;
        super::put(core, user);
    }
    Ok(())
}

fn from_rules(name: &[u8], rules: &[&[u8]], all_channels: bool) -> Result<User, (Vec<u8>, String)> {
    if !super::is_name(name) {
        return Err((name.to_vec(), "Usernames can't contain spaces or null characters".into()));
    }
    // A default user whom nobody describes may everything; one that is described may what is said.
    let mut user = User::new(name, all_channels);
    let rules = joined_selectors(rules)
        .map_err(|opened_by| (opened_by, "Unmatched parenthesis in selector definition.".into()))?;
    for rule in rules {
        user.apply(&rule, all_channels).map_err(|error| (rule.clone(), error.to_string()))?;
    }
    Ok(user)
}

/// Reads the ACL file. All users are replaced, and the connections of all but the default user
/// end; when a line is wrong nothing changes.
pub fn load(core: &mut Core) -> Result<(), FileError> {
    let path = path(&core.config).ok_or(FileError::NotConfigured)?;
    let text =
        std::fs::read(&path).map_err(|source| FileError::Read { path: path.clone(), source })?;
    let users = parse(&text, &path, begins_with_all_channels(&core.config))?;
    let default = users.get(DEFAULT).map_or_else(User::default_user, User::clone);
    let log = std::mem::take(&mut core.acl.log);
    let password = std::mem::take(&mut core.acl.password);
    core.acl = Acl { log, password, ..Acl::default() };
    for user in users.into_values() {
        core.acl.put(Arc::new(user));
    }
    super::put(core, default);
    end_all_of(core, |user| user.name != DEFAULT);
    Ok(())
}

fn parse(
    text: &[u8],
    path: &Path,
    all_channels: bool,
) -> Result<BTreeMap<Vec<u8>, User>, FileError> {
    let mut users = BTreeMap::new();
    let mut faults = String::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { continue };
        let mut fault = |why: &str| {
            faults.push_str(&format!("{}:{}: {why}. ", path.display(), at + 1));
        };
        let Some(name) = words.next().filter(|_| first == b"user") else {
            fault("line should start with user keyword followed by the username");
            continue;
        };
        if users.contains_key(name) {
            let name = String::from_utf8_lossy(name);
            fault(&format!("WARNING: Duplicate user '{name}' found"));
            continue;
        }
        let rules: Vec<&[u8]> = words.collect();
        match from_rules(name, &rules, all_channels) {
            Ok(user) => {
                users.insert(name.to_vec(), user);
            }
            Err((_, why)) => fault(&why),
        }
    }
    if faults.is_empty() { Ok(users) } else { Err(FileError::Faults(faults.trim_end().to_owned())) }
}

/// Writes the ACL file: a new one takes the place of the old.
pub fn save(core: &Core) -> Result<(), FileError> {
    let path = path(&core.config).ok_or(FileError::NotConfigured)?;
    let mut text = Vec::new();
    for user in core.acl.users() {
        text.extend_from_slice(&user.line());
        text.push(b'\n');
    }
    let write = || {
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".tmp-{}", std::process::id()));
        std::fs::write(&temporary, &text)?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, &path)
    };
    write().map_err(|error| {
        tracing::warn!("failed to save the users to {}: {error}", path.display());
        FileError::Write(error)
    })
}
