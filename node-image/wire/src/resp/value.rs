//! Reading replies, for those who are clients themselves: replication, migration, tests.
//! (Reader follows.)

/// A reply as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-CODE text`
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3 abc`, also verbatim strings without their format.
    Bulk(Vec<u8>),
    /// Nothing: `$-1`, `*-1`, `_`.
    Null,
    /// `*2 ...`
    Array(Vec<Value>),
    /// `%1 ...`
    Map(Vec<(Value, Value)>),
    /// `~1 ...`
    Set(Vec<Value>),
    /// `>2 ...`
    Push(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `(123...`
    BigNumber(Vec<u8>),
}
