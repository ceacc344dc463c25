//! Parameters of a statement, in the few kinds that every database of a ledger knows.

use crate::delivery::time::{Span, Timestamp};

/// One parameter. An absent value keeps its kind: PostgreSQL wants to know of what there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(Option<i64>),
    Real(f64),
    Text(Option<String>),
    Flag(bool),
    Bytes(Vec<u8>),
}

/// The parameters of a statement, `$1` first.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::ledger::sql::value::Value::from($value)),*] };
}
pub(crate) use args;

macro_rules! from {
    ($($kind:ty => |$value:ident| $into:expr;)*) => { $(
        impl From<$kind> for Value {
            fn from($value: $kind) -> Value {
                $into
            }
        }
    )* };
}

from! {
    i64 => |value| Value::Integer(Some(value));
    Option<i64> => |value| Value::Integer(value);
    u32 => |value| Value::Integer(Some(i64::from(value)));
    Option<u32> => |value| Value::Integer(value.map(i64::from));
    Timestamp => |value| Value::Integer(Some(value.0));
    Option<Timestamp> => |value| Value::Integer(value.map(|at| at.0));
    Span => |value| Value::Integer(Some(value.0));
    f64 => |value| Value::Real(value);
    bool => |value| Value::Flag(value);
    &str => |value| Value::Text(Some(value.to_owned()));
    String => |value| Value::Text(Some(value));
    &String => |value| Value::Text(Some(value.clone()));
    Option<String> => |value| Value::Text(value);
    &Option<String> => |value| Value::Text(value.clone());
    Vec<u8> => |value| Value::Bytes(value);
}
