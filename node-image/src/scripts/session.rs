//! One run of a script: what it is allowed, the functions that reach the core while it runs, and
//! its result.
//!
//! The Lua state knows nothing of the core. For the time of a run, and no longer, it is lent
//! functions that borrow the request's [`Ctx`]; when the run is over they are dead, whoever has
//! kept them. Not known here: what commands do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use holdfast_wire::resp::{Protocol, ReplyBuf};
use mlua::{Function, Lua, MultiValue, Table, Value};

use super::api::{self, Bound};
use super::engine::{Ended, Engine, Place};
use super::{Running, ScriptFlags, reply};
use crate::commands::{CommandError, Ctx, Origin, Outcome};
use crate::config::Name;
use crate::execute::from_script::{self, Rules};
use crate::monitor::Source;

/// How often a running script is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is to be run.
pub struct Program {
    /// The state that it lives in.
    pub engine: Rc<Engine>,
    /// Its code.
    pub function: Function,
    /// Its digest, or the function's name.
    pub name: String,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// It is called by FCALL and gets its keys and arguments as arguments.
    pub is_function: bool,
}

struct Session<'c, 'x> {
    ctx: &'c mut Ctx<'x>,
    rules: Rules,
    resp3: bool,
}

/// Runs a program; `read_only` for the commands that end in `_RO`.
pub fn run(
    ctx: &mut Ctx<'_>,
    program: &Program,
    read_only: bool,
    keys: &[&[u8]],
    argv: &[&[u8]],
) -> Result<Outcome, CommandError> {
    check(ctx, program.flags, read_only)?;
    let flags = program.flags;
    let rules = Rules {
        client: ctx.client,
        origin: ctx.origin,
        read_only: read_only || flags.has(ScriptFlags::NO_WRITES),
        allow_oom: flags.has(ScriptFlags::ALLOW_OOM),
        cross_slots: flags.has(ScriptFlags::CROSS_SLOTS),
        slot: ctx.core.current_slot,
        admitted: ctx.core.current_slot,
        wrote: false,
        replicates: true,
    };
    let (keys, argv) = arguments(&program.engine, program.is_function, keys, argv)
        .map_err(|error| CommandError::text(format!("ERR failed to call the script: {error}")))?;
    ctx.core.show_in_any_case(Source::Client(ctx.client), ctx.db, ctx.command, ctx.args);
    let began = Instant::now();
    ctx.core.scripts.running = Some(Running {
        name: program.name.clone(),
        is_function: program.is_function,
        request: ctx.args.iter().map(|arg| arg.to_vec()).collect(),
        began,
        wrote: false,
        is_busy: false,
        is_killed: false,
    });
    let (id, slot) = (ctx.client, ctx.core.current_slot);
    let db = ctx.core.clients.get(id).map(|client| client.db);
    let session = RefCell::new(Session { ctx, rules, resp3: false });
    let ended = run_in_scope(program, &session, keys, argv, began);
    let Session { ctx, resp3, .. } = session.into_inner();
    let killed_by = if program.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
    ctx.core.scripts.running = None;
    ctx.core.current_slot = slot;
    if let (Some(db), Some(client)) = (db, ctx.core.clients.get_mut(id)) {
        client.db = db;
    }
    match ended {
        Ok(Ended::Well(value)) => {
            let mark = ctx.reply.mark();
            if reply::write(ctx.reply, &value, resp3).is_err() {
                ctx.reply.truncate(mark);
                return Err(CommandError::new("ERR failed to read the script's result"));
            }
            Ok(Outcome::Done)
        }
        Ok(Ended::Failed(error)) => fail(ctx, &program.name, &error),
        Ok(Ended::Killed(place)) => {
            let at = place.as_ref().map_or(String::new(), |place| {
                format!("{}:{}: ", place.source.trim_start_matches('@'), place.line)
            });
            let text = format!("ERR {at}Script killed by user with {killed_by}.");
            Err(CommandError::text(with_place(&text, &program.name, place.as_ref())))
        }
        Err(error) => {
            let text = format!("ERR {}", api::error_text(&error));
            Err(CommandError::text(with_place(&text, &program.name, None)))
        }
    }
}

/// What must hold before a program begins. One that says nothing of itself is judged command by
/// command.
fn check(ctx: &mut Ctx<'_>, flags: ScriptFlags, read_only: bool) -> Result<(), CommandError> {
    let core = &mut *ctx.core;
    if core.scripts.running.is_some() {
        // Not even DEBUG SET-DISABLE-DENY-SCRIPTS lets a script run a script.
        return Err(CommandError::new("ERR This Redis command is not allowed from script"));
    }
    if ctx.origin != Origin::Client {
        return Ok(());
    }
    let said = !flags.has(ScriptFlags::UNSAID);
    if said && flags.has(ScriptFlags::NO_CLUSTER) && core.is_cluster() {
        return Err(CommandError::new(
            "ERR Can not run script on cluster, 'no-cluster' flag is set.",
        ));
    }
    if !flags.has(ScriptFlags::ALLOW_STALE)
        && !core.config.yes(Name::ReplicaServeStaleData)
        && core.replication.is_stale()
    {
        return Err(CommandError::new(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ));
    }
    if !said {
        return Ok(());
    }
    if !flags.has(ScriptFlags::NO_WRITES) {
        if read_only {
            return Err(CommandError::new(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        let refused =
            crate::replication::refuse_write(core).or_else(|| crate::aof::refuse_write(core));
        if let Some(error) = refused {
            return Err(error);
        }
        if !flags.has(ScriptFlags::ALLOW_OOM) && crate::memory::is_short(core) {
            return Err(CommandError::new(
                "OOM command not allowed when used memory > 'maxmemory'.",
            ));
        }
    }
    Ok(())
}

/// KEYS and ARGV: arguments of a function, globals of a script.
fn arguments(
    engine: &Engine,
    is_function: bool,
    keys: &[&[u8]],
    argv: &[&[u8]],
) -> mlua::Result<(Value, Value)> {
    let list = |words: &[&[u8]]| {
        let table = engine.lua().create_table_with_capacity(words.len(), 0)?;
        for (at, word) in words.iter().enumerate() {
            table.raw_set(at + 1, engine.lua().create_string(word)?)?;
        }
        Ok::<Table, mlua::Error>(table)
    };
    let (keys, argv) = (list(keys)?, list(argv)?);
    if is_function {
        return Ok((Value::Table(keys), Value::Table(argv)));
    }
    engine.set_global("KEYS", keys)?;
    engine.set_global("ARGV", argv)?;
    Ok((Value::Nil, Value::Nil))
}

fn run_in_scope(
    program: &Program,
    session: &RefCell<Session<'_, '_>>,
    keys: Value,
    argv: Value,
    began: Instant,
) -> mlua::Result<Ended> {
    let engine = &program.engine;
    engine.lua().scope(|scope| {
        let bound = Bound {
            command: scope.create_function(|lua, ()| {
                let args = api::given(lua);
                session.try_borrow_mut().map_err(mlua::Error::external)?.command(lua, &args)
            })?,
            check: scope.create_function(|lua, ()| {
                let args = api::given(lua);
                session.try_borrow_mut().map_err(mlua::Error::external)?.check(lua, &args)
            })?,
            set_resp: scope.create_function(|_, version: u8| {
                session.try_borrow_mut().map_err(mlua::Error::external)?.resp3 = version == 3;
                Ok(())
            })?,
            set_repl: scope.create_function(|_, wanted: u8| {
                let mut session = session.try_borrow_mut().map_err(mlua::Error::external)?;
                Ok(session.set_repl(wanted))
            })?,
            tick: scope.create_function(|_, ()| {
                let mut session = session.try_borrow_mut().map_err(mlua::Error::external)?;
                engine.watch.killed.set(session.tick(began));
                engine.watch.look_at.set(Some(Instant::now() + LOOK_EVERY));
                Ok(())
            })?,
        };
        engine.invoke(bound, &program.function, keys, argv, Some(began + LOOK_EVERY))
    })
}

impl Session<'_, '_> {
    /// `redis.call` and `redis.pcall`.
    fn command(&mut self, lua: &Lua, args: &MultiValue) -> mlua::Result<(bool, Value)> {
        let words = match words_of(args) {
            Ok(words) => words,
            Err(text) => return self.refuse(lua, text),
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let protocol = if self.resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
        let mut reply = ReplyBuf::new(protocol);
        let core = &mut *self.ctx.core;
        if let Err(error) = from_script::call(core, &mut self.rules, &words, &mut reply) {
            core.shared.stats.error_replies.add(1);
            core.observed.error(error.as_str());
            return self.refuse(lua, error.as_str());
        }
        let value = reply::read(lua, reply.as_bytes())?;
        Ok((!reply.as_bytes().starts_with(b"-"), value))
    }

    /// `redis.acl_check_cmd`: whether the script's user may run a command.
    fn check(&mut self, lua: &Lua, args: &MultiValue) -> mlua::Result<(bool, Value)> {
        let words = match words_of(args) {
            Ok(words) => words,
            Err(text) => return self.refuse(lua, text),
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if let Some(command) = from_script::named(&words) {
            let client = self.ctx.core.clients.get(self.rules.client);
            let allowed = client.is_none_or(|client| {
                client.user.is_unrestricted() || client.user.check(command, &words).is_ok()
            });
            return Ok((true, Value::Boolean(allowed)));
        }
        self.refuse(lua, "ERR Invalid command passed to redis.acl_check_cmd()")
    }

    fn refuse(&self, lua: &Lua, text: &str) -> mlua::Result<(bool, Value)> {
        let table = lua.create_table()?;
        table.raw_set("err", lua.create_string(text)?)?;
        table.raw_set("ignore_error_stats_update", true)?;
        Ok((false, Value::Table(table)))
    }

    /// `redis.set_repl`. The log is one for files and replicas, so that one of them alone cannot be
    /// chosen.
    fn set_repl(&mut self, wanted: u8) -> Option<&'static str> {
        const NONE: u8 = 0;
        const ALL: u8 = 3;
        match wanted {
            NONE | ALL => {
                self.rules.replicates = wanted == ALL;
                None
            }
            _ => Some("The append-only file and replicas read one log: use REPL_ALL or REPL_NONE."),
        }
    }

    /// Tells the node that this core is alive, and looks after the other clients once the script
    /// has taken too long; true when it is to end.
    fn tick(&mut self, began: Instant) -> bool {
        let core = &mut *self.ctx.core;
        core.shared.stats.core_tick_ms.set(crate::clock::unix_ms() as i64);
        let limit_ms = core.config.int(Name::LuaTimeLimit);
        let ran_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        // What is replayed is nobody's to end, and nobody is served while the data is loaded.
        if limit_ms == 0 || ran_ms < limit_ms || self.rules.origin != Origin::Client {
            return false;
        }
        if let Some(running) = &mut core.scripts.running
            && !std::mem::replace(&mut running.is_busy, true)
        {
            tracing::warn!(
                "Slow script detected: still in execution after {ran_ms} milliseconds. You can try \
                 killing the script using the SCRIPT KILL or FUNCTION KILL command. Script name \
                 is: {}.",
                running.name
            );
        }
        crate::event_loop::busy::look(core, self.rules.client);
        if core.shutdown.is_under_way() {
            // The node ends without saving: half a script must not reach the log.
            core.unit.truncate((0, 0));
            return true;
        }
        core.scripts.running.as_ref().is_some_and(|running| running.is_killed)
    }
}

/// The words of a request: strings, and numbers with all their digits.
fn words_of(args: &MultiValue) -> Result<Vec<Vec<u8>>, &'static str> {
    if args.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    args.iter()
        .map(|arg| match arg {
            Value::String(text) => Ok(text.as_bytes().to_vec()),
            Value::Integer(number) => {
                Ok(holdfast_wire::resp::reply::format_double(*number as f64).into_bytes())
            }
            Value::Number(number) => {
                Ok(holdfast_wire::resp::reply::format_double(*number).into_bytes())
            }
            _ => Err("ERR Lua redis lib command arguments must be strings or integers"),
        })
        .collect()
}

/// The error reply of a script: the error's own text, and where it was raised.
fn fail(ctx: &mut Ctx<'_>, name: &str, error: &Value) -> Result<Outcome, CommandError> {
    let (text, place, counted) = match error {
        Value::Table(table) => {
            let text = match table.raw_get::<Value>("err") {
                Ok(Value::String(text)) => text.to_string_lossy(),
                _ => "ERR unknown error".to_owned(),
            };
            let source = table.raw_get::<Option<String>>("source").ok().flatten();
            let line = table.raw_get::<Option<usize>>("line").ok().flatten();
            let place = source.zip(line).map(|(source, line)| Place { source, line });
            let counted = table.raw_get::<bool>("ignore_error_stats_update").unwrap_or(false);
            (text, place, counted)
        }
        Value::String(text) => (format!("ERR {}", text.to_string_lossy()), None, false),
        _ => ("ERR unknown error".to_owned(), None, false),
    };
    let text = with_place(&text, name, place.as_ref());
    if !counted {
        return Err(CommandError::text(text));
    }
    // The command inside has been counted as an error; the script only counts as failed.
    ctx.core.observed.of(ctx.command).failed += 1;
    reply::write_error_line(ctx.reply, text.as_bytes());
    Ok(Outcome::Done)
}

fn with_place(text: &str, name: &str, place: Option<&Place>) -> String {
    match place {
        Some(Place { source, line }) => format!("{text} script: {name}, on {source}:{line}."),
        None => format!("{text} script: {name}"),
    }
}
