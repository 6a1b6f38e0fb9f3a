//! One Lua state: what scripts may reach, how much memory they get, and the look at the clock.
//!
//! The state is made of Lua's harmless libraries, our own (`libraries/`), and the prelude
//! (`prelude.lua`), which shows scripts nothing but read-only stand-ins. Functions that need the
//! core are bound for the time of one script only (see [`super::session`]).
//!
//! **The watch.** After each so many instructions Lua calls the hook. It looks at the clock, and
//! when it is time to, calls the bound tick; once the script is to end, the hook fails at every
//! instruction, so that no `pcall` of the script gets around it.
//!
//! Not known here: commands, and where scripts come from.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState};

use super::api::{self, Bound};
use super::libraries;

/// Memory that scripts may hold, all together.
pub const LUA_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Instructions between two looks at the clock: below a millisecond.
const INSTRUCTIONS_PER_LOOK: u32 = 20_000;

/// When the running script is looked at, and whether it is to end.
#[derive(Debug, Default)]
pub struct Watch {
    /// The tick is called from this time on.
    pub look_at: Cell<Option<Instant>>,
    /// The script is to end.
    pub killed: Cell<bool>,
    /// Where it was when that was decided.
    pub killed_at: RefCell<Option<Place>>,
}

/// A line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the script's text, with its `@`.
    pub source: String,
    /// From 1.
    pub line: usize,
}

/// How a script ended.
pub enum Ended {
    /// With this value.
    Well(Value),
    /// With a table: `err`, and `source` and `line` when they are known.
    Failed(Value),
    /// Because it was told to.
    Killed(Option<Place>),
}

/// A Lua state with everything that scripts find in it.
pub struct Engine {
    lua: Lua,
    /// See [`Watch`].
    pub watch: Rc<Watch>,
    globals: Table,
    stand_in: Table,
    invoke: Function,
    /// Compiled scripts by their digests. They are kept by Lua: the host may hold only a few
    /// thousand references, and there may be many more scripts.
    kept: Table,
    runs: Cell<u32>,
}

impl Engine {
    /// A fresh state. `seed` begins `math.random`; `deprecated` adds what the directive
    /// `lua-enable-deprecated-api` is for.
    pub fn new(seed: u32, deprecated: bool) -> mlua::Result<Self> {
        let own = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(own, LuaOptions::default())?;
        lua.set_memory_limit(LUA_BYTES_MAX)?;
        let host = lua.create_table()?;
        let libraries = lua.create_table()?;
        libraries.set("redis", api::table(&lua)?)?;
        libraries::add(&lua, &libraries)?;
        host.set("libraries", libraries)?;
        host.set("unwrap", lua.create_function(api::unwrap)?)?;
        host.set(
            "seed",
            lua.create_function(move |_, math: Table| {
                math.get::<Function>("randomseed")?.call::<()>(seed)
            })?,
        )?;
        host.set("compile", lua.create_function(compile_for_lua)?)?;
        host.set("describe", lua.create_function(describe)?)?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude");
        let made: Table = prelude.call((host, deprecated))?;
        let watch = Rc::new(Watch::default());
        set_hook(&lua, &watch, INSTRUCTIONS_PER_LOOK)?;
        Ok(Engine {
            watch,
            globals: made.get("globals")?,
            stand_in: made.get("stand_in")?,
            invoke: made.get("invoke")?,
            kept: lua.create_table()?,
            runs: Cell::new(0),
            lua,
        })
    }

    /// The state itself.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// Bytes that the state holds.
    pub fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Makes a function of source text and keeps it under a digest; bytecode is refused. The error
    /// is the compiler's text.
    pub fn keep(&self, sha: &str, source: &[u8]) -> Result<(), String> {
        let function = compile(&self.lua, source, "@user_script", self.stand_in.clone())?;
        self.kept.raw_set(sha, function).map_err(|error| error.to_string())
    }

    /// The function that is kept under a digest.
    pub fn kept(&self, sha: &str) -> mlua::Result<Function> {
        self.kept.raw_get(sha)
    }

    /// Lets go of the function that is kept under a digest.
    pub fn forget(&self, sha: &str) -> mlua::Result<()> {
        self.kept.raw_set(sha, Value::Nil)
    }

    /// Sets a global that scripts see, whatever protects the others.
    pub fn set_global(&self, name: &str, value: impl mlua::IntoLua) -> mlua::Result<()> {
        self.globals.raw_set(name, value)
    }

    /// Calls a function with the bound ones in reach.
    pub fn invoke(
        &self,
        bound: Bound,
        function: &Function,
        keys: Value,
        argv: Value,
        look_at: Option<Instant>,
    ) -> mlua::Result<Ended> {
        bound.lend(&self.lua)?;
        self.watch.killed.set(false);
        self.watch.look_at.set(look_at);
        let result = self.invoke.call::<(bool, Value)>((function, keys, argv));
        self.watch.look_at.set(None);
        let killed = self.watch.killed.replace(false);
        if killed {
            set_hook(&self.lua, &self.watch, INSTRUCTIONS_PER_LOOK)?;
        }
        Bound::take_back(&self.lua)?;
        // Waste of small scripts is collected now and then, not only when it has doubled.
        self.runs.set(self.runs.get().wrapping_add(1));
        if self.runs.get().is_multiple_of(50) {
            self.lua.gc_step()?;
        }
        match result {
            _ if killed => Ok(Ended::Killed(self.watch.killed_at.take())),
            Ok((true, value)) => Ok(Ended::Well(value)),
            Ok((false, error)) => Ok(Ended::Failed(error)),
            Err(error) => Err(error),
        }
    }
}

fn set_hook(lua: &Lua, watch: &Rc<Watch>, every: u32) -> mlua::Result<()> {
    let watch = Rc::clone(watch);
    let triggers = HookTriggers::new().every_nth_instruction(every);
    lua.set_global_hook(triggers, move |lua, _| {
        if watch.killed.get() {
            return Err(mlua::Error::runtime("the script is to end"));
        }
        if watch.look_at.get().is_some_and(|due| Instant::now() >= due) {
            api::tick(lua)?;
            if watch.killed.get() {
                watch.killed_at.replace(place_in_script(lua, 0));
                set_hook(lua, &watch, 1)?;
                return Err(mlua::Error::runtime("the script is to end"));
            }
        }
        Ok(VmState::Continue)
    })
}

fn compile(lua: &Lua, source: &[u8], name: &str, env: Table) -> Result<Function, String> {
    let chunk = lua.load(source).set_mode(mlua::chunk::ChunkMode::Text).set_environment(env);
    let name = name.replace('\0', " ");
    chunk.set_name(name).into_function().map_err(|error| match error {
        mlua::Error::SyntaxError { message, .. } => message,
        other => other.to_string(),
    })
}

fn compile_for_lua(
    lua: &Lua,
    (source, name, env): (mlua::LuaString, mlua::LuaString, Table),
) -> mlua::Result<(Value, Value)> {
    match compile(lua, &source.as_bytes(), &name.to_string_lossy(), env) {
        Ok(function) => Ok((Value::Function(function), Value::Nil)),
        Err(text) => Ok((Value::Nil, Value::String(lua.create_string(text)?))),
    }
}

/// The line of the script that runs, seen from a level of the stack upwards.
fn place_in_script(lua: &Lua, from: usize) -> Option<Place> {
    const FRAMES_MAX: usize = 16;
    for level in from..from + FRAMES_MAX {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            let name = source.source.map(|name| name.into_owned()).unwrap_or_default();
            let in_script = source.what != "C" && name != "=prelude" && name != "=?";
            if in_script { Some(Place { source: name, line: frame.current_line()? }) } else { None }
        })?;
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The text of an error value, and the script's line in which it was raised.
fn describe(
    lua: &Lua,
    args: MultiValue,
) -> mlua::Result<(mlua::LuaString, Option<String>, Option<usize>)> {
    let value = args.front().cloned().unwrap_or(Value::Nil);
    let place = place_in_script(lua, 1).map(|place| (place.source, place.line));
    let text = match &value {
        Value::Table(_) => lua.create_string("unknown error")?,
        other => match lua.coerce_string(other.clone())? {
            Some(text) => text,
            None => lua.create_string(other.type_name())?,
        },
    };
    let (source, line) = place.unzip();
    Ok((text, source, line))
}
