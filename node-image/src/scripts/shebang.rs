//! The first line of a script: `#!lua name=library flags=no-writes,allow-stale`.
//!
//! Not known here: what the flags do.

use crate::commands::CommandError;

/// What a script or a function says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScriptFlags(pub u8);

impl ScriptFlags {
    /// It writes nothing.
    pub const NO_WRITES: ScriptFlags = ScriptFlags(1);
    /// It runs although memory is short.
    pub const ALLOW_OOM: ScriptFlags = ScriptFlags(1 << 1);
    /// It runs on a replica that has lost its primary.
    pub const ALLOW_STALE: ScriptFlags = ScriptFlags(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: ScriptFlags = ScriptFlags(1 << 3);
    /// It may touch keys of several slots.
    pub const CROSS_SLOTS: ScriptFlags = ScriptFlags(1 << 4);
    /// It says nothing, as scripts did before there were flags: each of its commands is judged
    /// by itself.
    pub const UNSAID: ScriptFlags = ScriptFlags(1 << 5);

    /// As they are written.
    pub const NAMES: &'static [(ScriptFlags, &'static str)] = &[
        (ScriptFlags::NO_WRITES, "no-writes"),
        (ScriptFlags::ALLOW_OOM, "allow-oom"),
        (ScriptFlags::ALLOW_STALE, "allow-stale"),
        (ScriptFlags::NO_CLUSTER, "no-cluster"),
        (ScriptFlags::CROSS_SLOTS, "allow-cross-slot-keys"),
    ];

    /// The flag of that name.
    pub fn named(name: &[u8]) -> Option<ScriptFlags> {
        Self::NAMES.iter().find(|(_, word)| word.as_bytes() == name).map(|(flag, _)| *flag)
    }

    /// True when all of `other` hold.
    pub const fn has(self, other: ScriptFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the first line of a script says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The flags.
    pub flags: ScriptFlags,
    /// Bytes of the line without its end, so that the numbers of the other lines stay true.
    pub skip: usize,
}

/// Reads the first line of a script for EVAL.
pub fn of_script(body: &[u8]) -> Result<Head, CommandError> {
    if !body.starts_with(b"#!") {
        return Ok(Head { flags: ScriptFlags::UNSAID, skip: 0 });
    }
    let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
        return Err(CommandError::new("ERR Invalid script shebang"));
    };
    let line = body.get(..end).unwrap_or_default();
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if engine != b"#!lua" {
        return Err(CommandError::text(format!(
            "ERR Unexpected engine in script shebang: {}",
            text(engine)
        )));
    }
    let mut flags = ScriptFlags::default();
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(CommandError::text(format!(
                "ERR Unknown lua shebang option: {}",
                text(word)
            )));
        };
        for name in names.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
            match ScriptFlags::named(name) {
                Some(flag) => flags.0 |= flag.0,
                None => {
                    return Err(CommandError::text(format!(
                        "ERR Unexpected flag in script shebang: {}",
                        text(name)
                    )));
                }
            }
        }
    }
    Ok(Head { flags, skip: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_without_a_first_line_of_its_own_says_nothing() {
        let head = of_script(b"return 1").unwrap();
        assert_eq!(head, Head { flags: ScriptFlags::UNSAID, skip: 0 });
    }

    #[test]
    fn flags_are_read_and_the_line_keeps_its_number() {
        let head = of_script(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
        assert!(head.flags.has(ScriptFlags::NO_WRITES) && head.flags.has(ScriptFlags::ALLOW_OOM));
        assert!(!head.flags.has(ScriptFlags::UNSAID));
        assert_eq!(head.skip, "#!lua flags=no-writes,allow-oom".len());
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let error = |body: &[u8]| of_script(body).unwrap_err().as_str().to_owned();
        assert_eq!(error(b"#!lua"), "ERR Invalid script shebang");
        assert_eq!(error(b"#!js\n"), "ERR Unexpected engine in script shebang: #!js");
        assert_eq!(error(b"#!lua x=1\n"), "ERR Unknown lua shebang option: x=1");
        assert_eq!(error(b"#!lua flags=a\n"), "ERR Unexpected flag in script shebang: a");
    }
}
