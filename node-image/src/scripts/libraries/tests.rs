//! The libraries of scripts against input that is deep, large, or none of theirs.

use mlua::{Lua, Value};

/// Runs on a stack like the core's; that of a test is a quarter of it.
fn eval(source: &str) -> String {
    let source = source.to_owned();
    let thread = std::thread::Builder::new().stack_size(8 * 1024 * 1024);
    thread.spawn(move || eval_here(&source)).unwrap().join().unwrap()
}

fn eval_here(source: &str) -> String {
    let lua = Lua::new();
    super::add(&lua, &lua.globals()).unwrap();
    match lua.load(source).set_name("=t").eval::<Value>() {
        Ok(value) => value.to_string().unwrap(),
        Err(error) => crate::scripts::api::error_text(&error).lines().next().unwrap().to_owned(),
    }
}

#[test]
fn bits_are_those_of_32_bit_numbers() {
    assert_eq!(eval("return bit.tohex(65535, -2147483648)"), "0000FFFF");
    assert_eq!(eval("return bit.band(-1, 0xff)"), "255");
    assert_eq!(eval("return bit.bor(1, 2, 2^31)"), "-2147483645");
    assert_eq!(eval("return bit.rol(0x12345678, 12)"), "1164411171");
    assert_eq!(eval("return bit.arshift(-256, 8)"), "-1");
    assert_eq!(eval("return bit.tobit(2^40 + 3)"), "3");
}

#[test]
fn json_goes_there_and_back() {
    assert_eq!(eval("return cjson.encode({1, 2, {a = 1}})"), r#"[1,2,{"a":1}]"#);
    assert_eq!(eval("return cjson.encode({})"), "{}");
    assert_eq!(
        eval("return cjson.encode(cjson.decode('[1,null,true,\"x\"]'))"),
        r#"[1,null,true,"x"]"#
    );
    assert_eq!(eval(r#"return cjson.decode('"\\u00e9\\ud83d\\ude00"')"#), "é😀");
    assert_eq!(eval("return cjson.encode(123456789012345678)"), "1.2345678901235e+17");
}

#[test]
fn json_that_is_none_is_refused_with_its_place() {
    let wrong = "t:1: Expected comma or array end but found T_END at character 5";
    assert_eq!(eval("local x = cjson.decode('[1,2') return x"), wrong);
    let deep = "local x = cjson.decode(string.rep('[', 1001)) return x";
    assert!(eval(deep).contains("Found too many nested data structures (1001)"));
    let endless = "local t = {} t[1] = t local x = cjson.encode(t) return x";
    assert!(eval(endless).contains("excessive nesting (1001)"));
}

#[test]
fn messages_go_there_and_back() {
    let hex =
        "return (cmsgpack.pack(0.1):gsub('.', function(c) return ('%02x'):format(c:byte()) end))";
    assert_eq!(eval(hex), "cb3fb999999999999a");
    assert_eq!(eval("return cmsgpack.unpack(cmsgpack.pack(-2^40))"), "-1099511627776");
    assert_eq!(eval("return #cmsgpack.unpack(cmsgpack.pack({1, 2, {}}))"), "3");
    assert_eq!(eval("return (cmsgpack.unpack_one(cmsgpack.pack(1, 2)))"), "1");
    assert!(
        eval("local x = cmsgpack.unpack('\\221\\255\\255') return x").contains("Missing bytes")
    );
}

#[test]
fn structures_are_laid_out_as_c_does() {
    assert_eq!(eval("return #struct.pack('!4bi4s', 1, 2, 'abc')"), "12");
    assert_eq!(eval("return (struct.unpack('>i2', '\\255\\254'))"), "-2");
    assert_eq!(eval("return (struct.unpack('>I2', '\\255\\254'))"), "65534");
    assert_eq!(eval("return (struct.unpack('<d', struct.pack('<d', 0.1)))"), "0.1");
    assert_eq!(eval("return struct.size('!8bl')"), "16");
    assert_eq!(eval("return select(2, struct.unpack('bc0', '\\3abc'))"), "5");
    assert!(eval("local x = struct.unpack('i4', 'ab') return x").contains("data string too short"));
}

#[test]
fn random_bytes_end_in_an_error_or_a_value() {
    let readers = ["cjson.decode", "cmsgpack.unpack", "struct.pack", "struct.size"];
    for reader in readers {
        let source = format!(
            "math.randomseed(7) for i = 1, 2000 do local s = {{}} \
             for j = 1, math.random(0, 24) do s[j] = string.char(math.random(0, 255)) end \
             pcall({reader}, table.concat(s), 1, 2, 3) \
             pcall(struct.unpack, table.concat(s), table.concat(s)) end return 'done'"
        );
        assert_eq!(eval(&source), "done");
    }
}
