-- What scripts find when they begin. Runs once for each Lua state, before any script.
--
-- Scripts never see the real tables of the language or of `redis`: they see empty stand-ins whose
-- metatable reads through to the real table and refuses writes. A stand-in stays empty, so that
-- every assignment meets the refusal; what would write or read around a metatable (rawset, next,
-- table.insert ...) is wrapped below. Everything here uses locals only, so that no script can
-- change what it does.
local host, deprecated = ...

local error, getmetatable, pcall, select = error, getmetatable, pcall, select
local setmetatable, tostring, type, xpcall = setmetatable, tostring, type, xpcall
local next, rawget, rawset = next, rawget, rawset
local concat, insert, remove, sort = table.concat, table.insert, table.remove, table.sort
local READONLY = "Attempt to modify a readonly table"

-- Stand-in -> real table.
local real = {}

local function refuse()
  error(READONLY, 2)
end

local sealed = {}
setmetatable(sealed, { __newindex = refuse, __metatable = sealed })
real[sealed] = {}

local function freeze(t)
  local stand_in = setmetatable({}, { __index = t, __newindex = refuse, __metatable = sealed })
  real[stand_in] = t
  return stand_in
end

local function guard(f)
  return function(t, ...)
    if real[t] then error(READONLY, 0) end
    return f(t, ...)
  end
end

local globals = {}
local stand_in = freeze(globals)
setmetatable(globals, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})

for _, name in next, {
  "assert", "collectgarbage", "error", "gcinfo", "getmetatable", "ipairs", "rawequal", "select",
  "tonumber", "tostring", "type", "unpack", "_VERSION",
} do
  globals[name] = _G[name]
end
if deprecated then
  globals.getfenv, globals.setfenv, globals.newproxy = getfenv, setfenv, newproxy
end

globals._G = stand_in
globals.setmetatable = guard(setmetatable)
globals.rawset = guard(rawset)
globals.rawget = function(t, name) return rawget(real[t] or t, name) end

local function see_through(t, name) return next(real[t] or t, name) end
globals.next = see_through
globals.pairs = function(...)
  local t = ...
  if type(t) ~= "table" then
    local got = select("#", ...) == 0 and "no value" or type(t)
    error("bad argument #1 to 'pairs' (table expected, got " .. got .. ")", 2)
  end
  return (real[t] and see_through or next), t, nil
end

-- Errors of the host are objects that mean nothing to scripts: a failed command becomes a table,
-- others their text. Who catches a failed command with pcall gets its text, too.
local function unwrap(e)
  if type(e) == "userdata" then return host.unwrap(e) end
  return e
end
local function caught(ok, e, ...)
  if ok then return ok, e, ... end
  e = unwrap(e)
  if type(e) == "table" and type(rawget(e, "err")) == "string" then e = e.err end
  return ok, e
end
globals.pcall = function(...) return caught(pcall(...)) end
globals.xpcall = function(f, h)
  return xpcall(f, function(e) return h(unwrap(e)) end)
end
local function resumed(ok, e, ...)
  if ok then return ok, e, ... end
  return ok, unwrap(e)
end
local resume = coroutine.resume
coroutine.resume = function(...) return resumed(resume(...)) end

globals.loadstring = function(...)
  local source, name = ...
  if type(source) == "number" then source = tostring(source) end
  if type(source) ~= "string" then
    local got = select("#", ...) == 0 and "no value" or type(source)
    error("bad argument #1 to 'loadstring' (string expected, got " .. got .. ")", 2)
  end
  return host.compile(source, type(name) == "string" and name or source, stand_in)
end
globals.load = function(...)
  local read, name = ...
  if type(read) ~= "function" then
    local got = select("#", ...) == 0 and "no value" or type(read)
    error("bad argument #1 to 'load' (function expected, got " .. got .. ")", 2)
  end
  local parts = {}
  while true do
    local part = read()
    if part == nil or part == "" then break end
    if type(part) ~= "string" then return nil, "reader function must return a string" end
    parts[#parts + 1] = part
  end
  return host.compile(concat(parts), type(name) == "string" and name or "=(load)", stand_in)
end

table.insert, table.remove, table.sort = guard(insert), guard(remove), guard(sort)
table.setn = guard(table.setn)
host.seed(math)
for _, name in next, { "coroutine", "math", "string", "table" } do
  globals[name] = freeze(_G[name])
end
local strings = getmetatable("")
strings.__index, strings.__metatable = globals.string, sealed

for name, library in next, host.libraries do
  globals[name] = freeze(library)
end

-- Runs while the stack of the error still stands, to say where it happened.
local function describe(e)
  e = unwrap(e)
  local text, source, line = host.describe(e)
  if type(e) ~= "table" then
    e = { err = "ERR " .. text }
  elseif type(rawget(e, "err")) ~= "string" then
    e = { err = type(rawget(e, "err")) == "number" and tostring(e.err) or "ERR " .. text }
  end
  if source then
    rawset(e, "source", source)
    rawset(e, "line", line)
  end
  return e
end

local function invoke(f, keys, argv)
  return xpcall(function() return f(keys, argv) end, describe)
end

return { globals = globals, stand_in = stand_in, invoke = invoke }
