//! Scripts: the Lua state, the scripts that are known by their digest, and the one that runs.
//!
//!   EVAL body --digest--> cache --function--> session --redis.call--> execute::from_script
//!
//! What SCRIPT LOAD brought stays until SCRIPT FLUSH. A body that only EVAL brought is remembered
//! as long as it is among the [`EVALUATED_MAX`] that were used last: clients that write arguments
//! into their scripts bring a new one with each request. The compiled functions are kept by Lua
//! (`engine.rs`), here is what is known of them.
//!
//! A script runs to its end in its client's turn; nothing else of the core runs meanwhile, but for
//! the look at the other clients once it has taken too long. Its effects are those of its
//! commands, never the script itself: so replicas and files need not know that there are scripts.
//! Not known here: sockets.

mod api;
pub mod engine;
mod libraries;
mod reply;
pub mod session;
pub mod shebang;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use crate::commands::CommandError;
use crate::config::{Config, Name};
use api::sha1_hex;
use engine::Engine;
pub use shebang::ScriptFlags;

/// A script that has been compiled.
pub struct Script {
    /// Its digest.
    pub sha: String,
    /// What its first line says of it.
    pub flags: ScriptFlags,
    /// Bytes of its text.
    pub bytes: usize,
}

/// Scripts that only EVAL brought; the one used longest ago gives way to another.
const EVALUATED_MAX: usize = 500;

/// A script that is remembered.
struct Known {
    script: Rc<Script>,
    /// When it was last used, if only EVAL brought it; else it stays.
    used: Option<u64>,
}

/// What is known of the script that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its digest, or the function's name.
    pub name: String,
    /// It was called by FCALL.
    pub is_function: bool,
    /// The request that called it.
    pub request: Vec<Vec<u8>>,
    /// When it began.
    pub began: Instant,
    /// It has run a command that may write, so it cannot be ended half-way.
    pub wrote: bool,
    /// Other clients are told that it has run too long.
    pub is_busy: bool,
    /// It is to end.
    pub is_killed: bool,
}

impl Running {
    fn busy_error(&self) -> CommandError {
        CommandError::new(if self.is_function {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
             NOSAVE."
        } else {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        })
    }
}

/// All about scripts that a core remembers.
#[derive(Default)]
pub struct Scripts {
    engine: Option<Rc<Engine>>,
    cache: BTreeMap<String, Known>,
    /// Digests of what only EVAL brought, by last use.
    evaluated: BTreeMap<u64, String>,
    uses: u64,
    /// The script that runs.
    pub running: Option<Running>,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may run what they otherwise may not.
    pub runs_denied_commands: bool,
}

impl Scripts {
    /// The Lua state for EVAL, made when it is first needed.
    pub fn engine(&mut self, config: &Config) -> Result<Rc<Engine>, CommandError> {
        if let Some(engine) = &self.engine {
            return Ok(Rc::clone(engine));
        }
        let engine = Rc::new(new_engine(config)?);
        self.engine = Some(Rc::clone(&engine));
        Ok(engine)
    }

    /// True when a script of that digest is known; it may be in any case.
    pub fn knows(&self, sha: &[u8]) -> bool {
        std::str::from_utf8(sha).is_ok_and(|sha| self.cache.contains_key(&sha.to_ascii_lowercase()))
    }

    /// The script of that digest, in any case, to be run.
    pub fn find(&mut self, sha: &[u8]) -> Option<Rc<Script>> {
        let sha = std::str::from_utf8(sha).ok()?.to_ascii_lowercase();
        let known = self.cache.get_mut(&sha)?;
        if let Some(used) = &mut known.used {
            self.uses += 1;
            self.evaluated.remove(used);
            self.evaluated.insert(self.uses, sha);
            *used = self.uses;
        }
        Some(Rc::clone(&known.script))
    }

    /// The script of that body, to be run; compiled unless it is known already.
    pub fn evaluate(&mut self, config: &Config, body: &[u8]) -> Result<Rc<Script>, CommandError> {
        let sha = sha1_hex(body);
        if let Some(script) = self.find(sha.as_bytes()) {
            return Ok(script);
        }
        let script = self.compile(config, sha, body)?;
        self.uses += 1;
        self.evaluated.insert(self.uses, script.sha.clone());
        self.remember(&script, Some(self.uses));
        while self.evaluated.len() > EVALUATED_MAX
            && let Some((_, oldest)) = self.evaluated.pop_first()
        {
            self.cache.remove(&oldest);
            if let Some(engine) = &self.engine {
                engine
                    .forget(&oldest)
                    .map_err(|error| CommandError::text(format!("ERR {error}")))?;
            }
        }
        Ok(script)
    }

    /// Keeps a script until all are forgotten; compiled unless it is known already.
    pub fn load(&mut self, config: &Config, body: &[u8]) -> Result<Rc<Script>, CommandError> {
        let sha = sha1_hex(body);
        if let Some(known) = self.cache.get_mut(&sha) {
            if let Some(used) = known.used.take() {
                self.evaluated.remove(&used);
            }
            return Ok(Rc::clone(&known.script));
        }
        let script = self.compile(config, sha, body)?;
        self.remember(&script, None);
        Ok(script)
    }

    fn remember(&mut self, script: &Rc<Script>, used: Option<u64>) {
        let known = Known { script: Rc::clone(script), used };
        self.cache.insert(script.sha.clone(), known);
    }

    fn compile(
        &mut self,
        config: &Config,
        sha: String,
        body: &[u8],
    ) -> Result<Rc<Script>, CommandError> {
        let head = shebang::of_script(body)?;
        let engine = self.engine(config)?;
        engine.keep(&sha, body.get(head.skip..).unwrap_or_default()).map_err(|text| {
            CommandError::text(format!("ERR Error compiling script (new function): {text}"))
        })?;
        Ok(Rc::new(Script { sha, flags: head.flags, bytes: body.len() }))
    }

    /// Forgets all scripts and everything that they left in Lua.
    pub fn flush(&mut self) {
        self.cache.clear();
        self.evaluated.clear();
        self.engine = None;
    }

    /// Number of known scripts.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// True when no script is known.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Bytes of known scripts.
    pub fn cached_bytes(&self) -> usize {
        self.cache.values().map(|known| known.script.bytes + 2 * known.script.sha.len() + 64).sum()
    }

    /// Bytes that Lua holds.
    pub fn lua_bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, |engine| engine.used_bytes())
    }

    /// What clients are told while a script has taken too long.
    pub fn busy_error(&self) -> Option<CommandError> {
        self.running.as_ref().filter(|running| running.is_busy).map(Running::busy_error)
    }

    /// Tells the running script or function to end; one that has written goes on.
    pub fn kill(&mut self, function: bool) -> Result<(), CommandError> {
        let Some(running) = &mut self.running else {
            return Err(CommandError::new("NOTBUSY No scripts in execution right now."));
        };
        if running.is_function != function {
            return Err(running.busy_error());
        }
        if running.wrote {
            return Err(CommandError::new(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. \
                 You can either wait the script termination or kill the server in a hard way using \
                 the SHUTDOWN NOSAVE command.",
            ));
        }
        running.is_killed = true;
        Ok(())
    }

    /// The running script has run a command that may write.
    pub fn note_write(&mut self) {
        if let Some(running) = &mut self.running {
            running.wrote = true;
        }
    }
}

fn new_engine(config: &Config) -> Result<Engine, CommandError> {
    let mut seed = [0; 4];
    let failed = |error: String| CommandError::text(format!("ERR failed to start Lua: {error}"));
    getrandom::fill(&mut seed).map_err(|error| failed(error.to_string()))?;
    let deprecated = config.yes(Name::LuaEnableDeprecatedApi);
    Engine::new(u32::from_le_bytes(seed), deprecated).map_err(|error| failed(error.to_string()))
}
