//! Scripts: the Lua state, the scripts that are known by their digest, and the one that runs.
//!
//!   EVAL body --digest--> cache --function--> session --redis.call--> execute::from_script
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
    function: mlua::Function,
}

impl Script {
    /// Its code.
    pub fn function(&self) -> mlua::Function {
        self.function.clone()
    }
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
    cache: BTreeMap<String, Rc<Script>>,
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

    /// The script of that digest, in any case.
    pub fn find(&self, sha: &[u8]) -> Option<Rc<Script>> {
        let sha = std::str::from_utf8(sha).ok()?.to_ascii_lowercase();
        self.cache.get(&sha).map(Rc::clone)
    }

    /// Compiles a script unless it is known already.
    pub fn load(&mut self, config: &Config, body: &[u8]) -> Result<Rc<Script>, CommandError> {
        let sha = sha1_hex(body);
        if let Some(script) = self.cache.get(&sha) {
            return Ok(Rc::clone(script));
        }
        let head = shebang::of_script(body)?;
        let engine = self.engine(config)?;
        let source = body.get(head.skip..).unwrap_or_default();
        let function = engine.compile(source, "@user_script").map_err(|text| {
            CommandError::text(format!("ERR Error compiling script (new function): {text}"))
        })?;
        let script =
            Rc::new(Script { sha: sha.clone(), flags: head.flags, bytes: body.len(), function });
        self.cache.insert(sha, Rc::clone(&script));
        Ok(script)
    }

    /// Forgets all scripts and everything that they left in Lua.
    pub fn flush(&mut self) {
        self.cache.clear();
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
        self.cache.values().map(|script| script.bytes + 2 * script.sha.len() + 64).sum()
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
