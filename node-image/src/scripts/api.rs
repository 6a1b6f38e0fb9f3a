//! The table `redis` that scripts see, and how its functions reach the running script's session.
//!
//! The functions stay the same for the life of a Lua state, so a library may keep them; what they
//! need of the core is lent to the state's registry for the time of a run ([`Bound`]). They are
//! functions of the host, not of Lua, so that `return redis.call(...)` leaves the script's own
//! frame on the stack, and an error can say in which line it was. Not known here: commands.

use mlua::{Function, Lua, MultiValue, Table, Value};
use sha1::{Digest, Sha1};

/// The version that scripts are told: whose dialect the scripts' functions speak.
const VERSION: (&str, u32) = ("7.0.15", 0x0007_000f);

const COMMAND: &str = "holdfast.command";
const CHECK: &str = "holdfast.check";
const SET_RESP: &str = "holdfast.set_resp";
const SET_REPL: &str = "holdfast.set_repl";
const TICK: &str = "holdfast.tick";

/// What a session lends to the state while its script runs.
pub struct Bound {
    /// Runs a command: true and the reply, or false and a table with the error.
    pub command: Function,
    /// `redis.acl_check_cmd`, in the same way.
    pub check: Function,
    /// `redis.setresp`
    pub set_resp: Function,
    /// `redis.set_repl`: gives a message when it is refused.
    pub set_repl: Function,
    /// Looks after the other clients.
    pub tick: Function,
}

impl Bound {
    /// Puts the functions where those of the table `redis` find them.
    pub fn lend(self, lua: &Lua) -> mlua::Result<()> {
        lua.set_named_registry_value(COMMAND, self.command)?;
        lua.set_named_registry_value(CHECK, self.check)?;
        lua.set_named_registry_value(SET_RESP, self.set_resp)?;
        lua.set_named_registry_value(SET_REPL, self.set_repl)?;
        lua.set_named_registry_value(TICK, self.tick)
    }

    /// Takes them away.
    pub fn take_back(lua: &Lua) -> mlua::Result<()> {
        for name in [COMMAND, CHECK, SET_RESP, SET_REPL, TICK] {
            lua.unset_named_registry_value(name)?;
        }
        Ok(())
    }
}

/// An error that reaches the script as a table, as failed commands do.
#[derive(Debug, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.text))]
struct Failure {
    text: Vec<u8>,
    /// It has been counted among the errors already.
    counted: bool,
}

fn failure(text: &str) -> mlua::Error {
    mlua::Error::external(Failure { text: format!("ERR {text}").into_bytes(), counted: false })
}

/// What a script sees of an error of the host: a table for a failed command, else the text.
pub fn unwrap(lua: &Lua, value: Value) -> mlua::Result<Value> {
    let Value::Error(error) = &value else { return Ok(value) };
    match innermost(error) {
        mlua::Error::ExternalError(inner) => match inner.downcast_ref::<Failure>() {
            Some(failure) => error_table(lua, &failure.text, failure.counted).map(Value::Table),
            None => Ok(Value::String(lua.create_string(inner.to_string())?)),
        },
        _ => Ok(Value::String(lua.create_string(error_text(error))?)),
    }
}

fn innermost(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } => innermost(cause),
        other => other,
    }
}

/// One line that says what went wrong, without the stack.
pub fn error_text(error: &mlua::Error) -> String {
    match innermost(error) {
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// The table that stands for an error.
pub fn error_table(lua: &Lua, text: &[u8], counted: bool) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    if counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(table)
}

/// The name of a script: 40 hexadecimal digits.
pub fn sha1_hex(text: &[u8]) -> String {
    let mut name = String::with_capacity(40);
    for byte in Sha1::digest(text) {
        for digit in [byte >> 4, byte & 15] {
            name.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    name
}

/// Has the running script's session look around.
pub fn tick(lua: &Lua) -> mlua::Result<()> {
    lua.named_registry_value::<Function>(TICK)?.call(())
}

/// A function that is lent only while a script runs.
fn lent(lua: &Lua, name: &str) -> mlua::Result<Function> {
    lua.named_registry_value::<Option<Function>>(name)?
        .ok_or_else(|| failure("redis.call can only be called inside a script invocation"))
}

/// The table.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    for (name, number) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
        ("REDIS_VERSION_NUM", VERSION.1),
    ] {
        redis.set(name, number)?;
    }
    redis.set("REDIS_VERSION", VERSION.0)?;
    redis.set("call", lua.create_function(call)?)?;
    redis.set("pcall", lua.create_function(pcall)?)?;
    redis.set("acl_check_cmd", lua.create_function(acl_check_cmd)?)?;
    redis.set("error_reply", lua.create_function(error_reply)?)?;
    redis.set("status_reply", lua.create_function(status_reply)?)?;
    redis.set("sha1hex", lua.create_function(sha1hex)?)?;
    redis.set("log", lua.create_function(log)?)?;
    redis.set("setresp", lua.create_function(setresp)?)?;
    redis.set("set_repl", lua.create_function(set_repl)?)?;
    // Effects are replicated in any case, and nobody debugs.
    redis.set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    redis.set("breakpoint", lua.create_function(|_, _: MultiValue| Ok(false))?)?;
    redis.set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    Ok(redis)
}

/// Raises the error that a lent function gave.
fn raise(error: &Value) -> mlua::Error {
    let Value::Table(table) = error else { return failure("failed to run a command") };
    let text = match table.raw_get::<Value>("err") {
        Ok(Value::String(text)) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    };
    mlua::Error::external(Failure { text, counted: true })
}

/// Arguments on their way to a lent function. They do not go by Lua's stack: the script's call
/// has them there already, and a second time they might find no room.
struct Given(MultiValue);

/// The arguments that a lent function was called with.
pub fn given(lua: &Lua) -> MultiValue {
    lua.remove_app_data::<Given>().map_or_else(MultiValue::new, |given| given.0)
}

fn call_lent(lua: &Lua, name: &str, args: MultiValue) -> mlua::Result<(bool, Value)> {
    let function = lent(lua, name)?;
    lua.set_app_data(Given(args));
    function.call(())
}

fn call(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let (ok, value) = call_lent(lua, COMMAND, args)?;
    if ok { Ok(value) } else { Err(raise(&value)) }
}

fn pcall(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    call_lent(lua, COMMAND, args).map(|(_, value)| value)
}

fn acl_check_cmd(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let (ok, value) = call_lent(lua, CHECK, args)?;
    if ok { Ok(value) } else { Err(raise(&value)) }
}

fn one_text(args: &MultiValue) -> Option<Vec<u8>> {
    match (args.len(), args.front()) {
        (1, Some(Value::String(text))) => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

const NOT_ONE_TEXT: &[u8] = b"ERR wrong number or type of arguments";

fn error_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Table> {
    let Some(text) = one_text(&args) else { return error_table(lua, NOT_ONE_TEXT, false) };
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    // A single word is a text without a code.
    if text.contains(&b' ') {
        error_table(lua, text.trim_ascii_end(), false)
    } else {
        error_table(lua, &[b"ERR ", text].concat(), false)
    }
}

fn status_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Table> {
    let Some(text) = one_text(&args) else { return error_table(lua, NOT_ONE_TEXT, false) };
    let table = lua.create_table()?;
    table.raw_set("ok", lua.create_string(text)?)?;
    Ok(table)
}

fn sha1hex(lua: &Lua, args: MultiValue) -> mlua::Result<String> {
    if args.len() != 1 {
        return Err(failure("wrong number of arguments"));
    }
    let text = lua.coerce_string(args.front().cloned().unwrap_or(Value::Nil))?;
    Ok(text.map_or_else(|| sha1_hex(b""), |text| sha1_hex(&text.as_bytes())))
}

fn log(lua: &Lua, args: MultiValue) -> mlua::Result<()> {
    if args.len() < 2 {
        return Err(failure("redis.log() requires two arguments or more."));
    }
    let level = match args.front() {
        Some(Value::Integer(level)) => *level,
        Some(Value::Number(level)) => *level as i64,
        _ => return Err(failure("First argument must be a number (log level).")),
    };
    if !(0..=3).contains(&level) {
        return Err(failure("Invalid debug level."));
    }
    let mut words = Vec::new();
    for arg in args.iter().skip(1) {
        words.extend(lua.coerce_string(arg.clone())?.map(|word| word.to_string_lossy()));
    }
    let text = words.join(" ");
    match level {
        0 => tracing::debug!("{text}"),
        1 | 2 => tracing::info!("{text}"),
        _ => tracing::warn!("{text}"),
    }
    Ok(())
}

fn number(args: &MultiValue) -> Option<u8> {
    match args.front() {
        Some(Value::Integer(number)) => u8::try_from(*number).ok(),
        _ => None,
    }
}

fn setresp(lua: &Lua, args: MultiValue) -> mlua::Result<()> {
    if args.len() != 1 {
        return Err(failure("redis.setresp() requires one argument."));
    }
    match number(&args) {
        Some(version @ (2 | 3)) => lent(lua, SET_RESP)?.call(version),
        _ => Err(failure("RESP version must be 2 or 3.")),
    }
}

fn set_repl(lua: &Lua, args: MultiValue) -> mlua::Result<()> {
    if args.len() != 1 {
        return Err(failure("redis.set_repl() requires two arguments."));
    }
    let Some(wanted @ 0..=3) = number(&args) else {
        return Err(failure(
            "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ));
    };
    match lent(lua, SET_REPL)?.call::<Option<String>>(wanted)? {
        Some(refused) => Err(failure(&refused)),
        None => Ok(()),
    }
}
