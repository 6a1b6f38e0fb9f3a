//! Names of nodes, shards, clusters and process lives.
//!
//! All are random bytes that print as lower-case hexadecimal digits. They are separate types, so
//! that a shard's name is never taken for a node's. Not known here: who draws them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not an id: wrong length or a character that is no hexadecimal digit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read an id of {digits} hexadecimal digits from {text:?}")]
pub struct ParseIdError {
    /// How many digits the id has.
    pub digits: usize,
    /// What was given, cut to 64 characters.
    pub text: String,
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let refuse = || ParseIdError { digits: N * 2, text: text.chars().take(64).collect::<String>() };
    if text.len() != N * 2 {
        return Err(refuse());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return Err(refuse()) };
        let high = (*high as char).to_digit(16).ok_or_else(refuse)?;
        let low = (*low as char).to_digit(16).ok_or_else(refuse)?;
        *byte = (high << 4 | low) as u8;
    }
    Ok(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Bytes of the id; it prints as twice as many digits.
            pub const BYTES: usize = $bytes;

            /// The id's bytes.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Reads the digits as they stand in a packet or a file.
            pub fn from_ascii(digits: &[u8]) -> Result<Self, ParseIdError> {
                String::from_utf8_lossy(digits).parse()
            }

            /// True for the id of all zeros, which no drawn id has and which fields use for none.
            pub fn is_zero(&self) -> bool {
                self.0.iter().all(|byte| *byte == 0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// Who a node is, whatever its address: 40 digits.
    NodeId, 20
}
id! {
    /// Which shard a primary and its replicas form: 40 digits.
    ShardId, 20
}
id! {
    /// Which cluster a node belongs to (`holdfast-cluster-id`): 40 digits.
    ClusterId, 20
}
id! {
    /// One life of a process, drawn anew at each start: 32 digits.
    BootId, 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        let id: NodeId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(NodeId::from_ascii(text.as_bytes()).unwrap(), id);
    }

    #[test]
    fn an_id_of_wrong_length_or_digits_is_refused() {
        for text in ["", "01", "g123456789abcdef0123456789abcdef01234567", &"é".repeat(20)] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
        assert!(NodeId::from_ascii(&[0xff; 40]).is_err());
    }
}
