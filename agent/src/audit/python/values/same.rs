//! Which values are one. Pure.

use super::{VALUES_MAX, Value};

/// Each value once, and not more than anybody wants.
pub(super) fn distinct(values: &mut Vec<Value<'_>>) {
    let mut kept: Vec<Value<'_>> = Vec::with_capacity(values.len().min(VALUES_MAX));
    for value in values.drain(..) {
        if kept.len() < VALUES_MAX && kept.iter().all(|other| !is_same(other, &value)) {
            kept.push(value);
        }
    }
    *values = kept;
}

fn is_same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Path(a), Value::Path(b)) | (Value::Method(a), Value::Method(b)) => a == b,
        (Value::Function(a), Value::Function(b)) => a == b,
        (Value::Class(a), Value::Class(b)) | (Value::Instance(a), Value::Instance(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Items(a, _), Value::Items(b, _)) => std::ptr::eq(*a, *b),
        (Value::Dict(a, _), Value::Dict(b, _)) | (Value::Pairs(a, _), Value::Pairs(b, _)) => {
            std::ptr::eq(*a, *b)
        }
        (Value::Unknown, Value::Unknown) => true,
        _ => false,
    }
}
