//! Kinds of values: how a directive's words are read, shown and checked.
//!
//! Error texts are Redis 7.0's, since test suites and tools look for them. Not known here: which
//! directive has which kind.

use super::Value;

/// How a directive's words are understood.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// A number within bounds.
    Number {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number of bytes with an optional unit (`64mb`), within bounds.
    Bytes {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Like [`Kind::Bytes`], or a percentage of something (`5%`), kept as a negative
    /// number.
    BytesOrPercent,
    /// An octal number, a file mode.
    Octal,
    /// One of these words. Aliases of a word follow it behind a `|`.
    Word(&'static [&'static str]),
    /// Any text; several words are joined by blanks.
    Text,
    /// Text whose form is checked and made canonical; the second argument is the value so far.
    Checked(fn(&[&str], &str) -> Result<String, String>),
}

impl Kind {
    /// The value that the table's default means. A default that cannot be read is a defect of the
    /// table, which a test finds.
    pub(super) fn default_value(&self, default: &str) -> Value {
        let words: Vec<&str> = match self {
            Kind::Text => vec![default],
            _ => default.split_whitespace().collect(),
        };
        let none = Value::Text(String::new());
        self.parse(&words, &none).unwrap_or(Value::Text(default.to_owned()))
    }

    /// Reads words.
    pub(super) fn parse(&self, words: &[&str], before: &Value) -> Result<Value, String> {
        if let Kind::Checked(check) = self {
            let before = if let Value::Text(text) = before { text } else { "" };
            return check(words, before).map(Value::Text);
        }
        if let Kind::Text = self {
            return Ok(Value::Text(words.join(" ")));
        }
        let [word] = words else { return Err("wrong number of arguments".into()) };
        match *self {
            Kind::YesNo => match word.to_ascii_lowercase().as_str() {
                "yes" => Ok(Value::Number(1)),
                "no" => Ok(Value::Number(0)),
                _ => Err("argument must be 'yes' or 'no'".into()),
            },
            Kind::Number { min, max } => {
                let number = word.parse::<i64>();
                let number =
                    number.map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
                within(number, min, max).map(Value::Number)
            }
            Kind::Bytes { min, max } => within(bytes(word)?, min, max).map(Value::Number),
            Kind::BytesOrPercent => match word.strip_suffix('%') {
                Some(number) => match number.parse::<i64>() {
                    Ok(number @ 0..=100) => Ok(Value::Number(-number)),
                    Ok(101..) => Err("percentage argument must be less or equal to 100".into()),
                    _ => Err("argument must be a memory or percent value".into()),
                },
                None => match bytes(word) {
                    Ok(number) => Ok(Value::Number(number)),
                    Err(_) => Err("argument must be a memory or percent value".into()),
                },
            },
            Kind::Octal => match i64::from_str_radix(word, 8) {
                Ok(mode @ 0..=0o777) => Ok(Value::Number(mode)),
                _ => Err("argument couldn't be parsed as an octal number".into()),
            },
            Kind::Word(choices) => {
                let lower = word.to_ascii_lowercase();
                let chosen = choices.iter().find(|choice| choice.split('|').any(|w| w == lower));
                match chosen.and_then(|choice| choice.split('|').next()) {
                    Some(chosen) => Ok(Value::Text(chosen.to_owned())),
                    None => Err(must_be_one_of(choices)),
                }
            }
            Kind::Text | Kind::Checked(_) => Ok(Value::Text(words.join(" "))),
        }
    }

    /// A value as CONFIG GET shows it.
    pub(super) fn show(&self, value: &Value) -> String {
        match (self, value) {
            (Kind::YesNo, Value::Number(number)) => {
                if *number != 0 {
                    "yes".into()
                } else {
                    "no".into()
                }
            }
            (Kind::Octal, Value::Number(number)) => format!("{number:o}"),
            (Kind::BytesOrPercent, Value::Number(number)) if *number < 0 => {
                format!("{}%", -number)
            }
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Text(text)) => text.clone(),
        }
    }
}

fn within(number: i64, min: i64, max: i64) -> Result<i64, String> {
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

fn must_be_one_of(choices: &[&str]) -> String {
    let mut text = "argument must be one of the following: ".to_owned();
    for (at, choice) in choices.iter().flat_map(|choice| choice.split('|')).enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(choice);
    }
    text
}

/// Reads `100`, `1kb` (1024), `1k` (1000), `2mb`, `1gb` and so on.
pub fn bytes(word: &str) -> Result<i64, String> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = word.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1024,
        "m" => 1000 * 1000,
        "mb" => 1024 * 1024,
        "g" => 1000 * 1000 * 1000,
        "gb" => 1024 * 1024 * 1024,
        _ => return Err("argument must be a memory value".into()),
    };
    let number = number.parse::<i64>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| "argument must be a memory value".into())
}

/// `save`: pairs of seconds and changes; an empty word clears them.
pub(super) fn save(words: &[&str], before: &str) -> Result<String, String> {
    if words.is_empty() || words == [""] {
        return Ok(String::new());
    }
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    if !words.len().is_multiple_of(2) {
        return Err("Invalid save parameters".into());
    }
    for pair in words.chunks(2) {
        let [seconds, changes] = pair else { continue };
        match (seconds.parse::<i64>(), changes.parse::<i64>()) {
            (Ok(1..), Ok(0..)) => {}
            _ => return Err("Invalid save parameters".into()),
        }
    }
    // The file's lines add up (`before` is empty for the first of them and for CONFIG SET).
    let all = format!("{before} {}", words.join(" "));
    Ok(all.trim().to_owned())
}

/// `client-output-buffer-limit`: class, hard, soft, seconds, several times; other classes keep
/// theirs.
pub(super) fn output_limits(words: &[&str], before: &str) -> Result<String, String> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut limits: Vec<(String, String)> = before
        .split_whitespace()
        .collect::<Vec<_>>()
        .chunks_exact(4)
        .filter_map(|c| Some(((*c.first()?).to_owned(), c.get(1..)?.join(" "))))
        .collect();
    for group in words.chunks(4) {
        let [class, hard, soft, seconds] = group else { continue };
        let class = match class.to_ascii_lowercase().as_str() {
            "slave" | "replica" => "slave".to_owned(),
            class @ ("normal" | "pubsub") => class.to_owned(),
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        };
        let wrong = || {
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned()
        };
        let (hard, soft) = (bytes(hard).map_err(|_| wrong())?, bytes(soft).map_err(|_| wrong())?);
        let seconds: u32 = seconds.parse().map_err(|_| wrong())?;
        let limit = format!("{hard} {soft} {seconds}");
        match limits.iter_mut().find(|(name, _)| *name == class) {
            Some((_, old)) => *old = limit,
            None => limits.push((class, limit)),
        }
    }
    let all: Vec<String> = limits.into_iter().map(|(class, l)| format!("{class} {l}")).collect();
    Ok(all.join(" "))
}

/// `notify-keyspace-events`: letters of classes, in their canonical order.
pub(super) fn notify_classes(words: &[&str], _: &str) -> Result<String, String> {
    const ALL: &str = "g$lshzxetd";
    const ORDER: &str = "Ag$lshzxetdKEmn";
    let text = words.concat();
    if !text.chars().all(|c| ORDER.contains(c)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into());
    }
    let has = |c: char| text.contains(c) || (text.contains('A') && ALL.contains(c));
    let mut shown = String::new();
    if ALL.chars().all(has) {
        shown.push('A');
    } else {
        shown.extend(ALL.chars().filter(|c| has(*c)));
    }
    shown.extend("KEmn".chars().filter(|c| has(*c)));
    Ok(shown)
}

/// A file name without a directory.
pub(super) fn file_name(words: &[&str], _: &str) -> Result<String, String> {
    let [name] = words else { return Err("wrong number of arguments".into()) };
    if name.contains('/') {
        return Err("can't be a path, just a filename".into());
    }
    Ok((*name).to_owned())
}

/// `bind`: up to 16 addresses.
pub(super) fn addresses(words: &[&str], _: &str) -> Result<String, String> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    if words.len() > 16 {
        return Err("Too many bind addresses specified.".into());
    }
    Ok(words.join(" "))
}

/// `replicaof`: a host and a port, or `no one`.
pub(super) fn replica_of(words: &[&str], _: &str) -> Result<String, String> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    match words.as_slice() {
        [] => Ok(String::new()),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => {
            Ok(String::new())
        }
        [host, port] if port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(format!("{host} {port}"))
        }
        [_, _] => Err("Invalid master port".into()),
        _ => Err("wrong number of arguments".into()),
    }
}

/// `holdfast-cluster-id`: 40 hexadecimal digits, or nothing.
pub(super) fn cluster_id(words: &[&str], _: &str) -> Result<String, String> {
    let text = words.concat().to_ascii_lowercase();
    if text.is_empty() || (text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())) {
        Ok(text)
    } else {
        Err("argument must be 40 hexadecimal digits".into())
    }
}

/// `tls-protocols`: versions that rustls speaks.
pub(super) fn tls_protocols(words: &[&str], _: &str) -> Result<String, String> {
    let versions: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    for version in &versions {
        if !["tlsv1.2", "tlsv1.3"].contains(&version.to_ascii_lowercase().as_str()) {
            return Err(format!("'{version}' is not spoken here: choose TLSv1.2, TLSv1.3 or both"));
        }
    }
    Ok(versions.join(" "))
}

fn unset(words: &[&str], why: &str) -> Result<String, String> {
    if words.iter().all(|word| word.is_empty()) { Ok(String::new()) } else { Err(why.to_owned()) }
}

/// `tls-ciphers` and `tls-ciphersuites`: what they would forbid does not exist here, and a wish
/// that cannot be kept is not accepted in silence.
pub(super) fn unset_ciphers(words: &[&str], _: &str) -> Result<String, String> {
    unset(
        words,
        "cannot be chosen: AES-GCM and ChaCha20-Poly1305 with forward secrecy are the only suites; \
         remove the directive",
    )
}

/// `tls-dh-params-file`: there is no finite-field Diffie-Hellman.
pub(super) fn unset_dh_params(words: &[&str], _: &str) -> Result<String, String> {
    unset(words, "has no counterpart: keys are agreed on elliptic curves; remove the directive")
}

/// `tls-key-file-pass`: encrypted private keys cannot be read.
pub(super) fn unset_key_password(words: &[&str], _: &str) -> Result<String, String> {
    unset(
        words,
        "is not supported: give a private key without a password, readable by its user only",
    )
}
