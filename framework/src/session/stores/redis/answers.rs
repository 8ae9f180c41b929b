//! From redis's answers to the outcomes of a store.

use redis::Value;

use crate::redis::{Answer, RedisError};
use crate::session::StoreError;

/// The failure of a call. What is full refuses new sessions only: see `swap`.
pub(in super::super) fn failed(error: RedisError) -> StoreError {
    if error.is_surely_not_done() {
        StoreError::refused(error)
    } else {
        StoreError::unavailable(error)
    }
}

fn odd(value: &Value) -> StoreError {
    // The value may hold a session: only its kind is told.
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    StoreError::unavailable(format!("redis answered {kind} where something else was expected"))
}

/// A number, as scripts answer.
pub(in super::super) fn number(answer: Answer) -> Result<i64, StoreError> {
    match answer.map_err(failed)? {
        Value::Int(number) => Ok(number),
        value => Err(odd(&value)),
    }
}

/// A string, or nothing.
pub(in super::super) fn bytes(answer: Answer) -> Result<Option<Vec<u8>>, StoreError> {
    match answer.map_err(failed)? {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
            Ok(Some(text.into_bytes()))
        }
        Value::Nil => Ok(None),
        value => Err(odd(&value)),
    }
}

/// A list.
pub(in super::super) fn list(answer: Answer) -> Result<Vec<Value>, StoreError> {
    match answer.map_err(failed)? {
        Value::Array(values) | Value::Set(values) => Ok(values),
        value => Err(odd(&value)),
    }
}
