//! What operations need to know of CBOR (RFC 8949) beyond encoding and decoding.

use super::{MAX_DEPTH, Result, Value, decode, encode, wrong_type};

/// The kind of value `bytes` begin with, in words.
pub(super) fn kind(bytes: &[u8]) -> &'static str {
    match bytes.first().map(|first| (first >> 5, first & 31)) {
        None => "nothing",
        Some((0 | 1, _)) => "an integer",
        Some((2, _)) => "bytes",
        Some((3, _)) => "text",
        Some((4, _)) => "an array",
        Some((5, _)) => "a map",
        Some((6, _)) => "a tagged value",
        Some((_, 20 | 21)) => "a boolean",
        Some((_, 22 | 23)) => "null",
        Some((_, 25..=27)) => "a float",
        Some(_) => "something unknown",
    }
}

/// Whether there is room for too many levels: each takes a byte at least.
pub(super) fn may_be_deep(bytes: &[u8]) -> bool {
    bytes.len() > MAX_DEPTH && matches!(bytes.first().map(|first| first >> 5), Some(4..=6))
}

/// The array in `array` (an empty one if there is none) with `item` behind its last.
pub(super) fn pushed(key: &str, array: Option<&[u8]>, item: &[u8]) -> Result<Value> {
    let (count, items) = match array {
        None => (0, Vec::new()),
        Some(bytes) => match array_head(bytes) {
            Some((count, at)) => (count, bytes.get(at..).unwrap_or_default().to_vec()),
            None => relaid(key, bytes)?,
        },
    };
    let mut out = Vec::with_capacity(items.len() + item.len() + 9);
    write_array_head(count + 1, &mut out);
    out.extend_from_slice(&items);
    out.extend_from_slice(item);
    Ok(out.into())
}

/// The number of items in an array, to tell the caller of a push.
pub(crate) fn array_len(bytes: &[u8]) -> Option<u64> {
    array_head(bytes).map(|(count, _)| count)
}

/// The integer that is all of `bytes`, if it is one of at most 64 bits without a tag.
pub(super) fn number(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    let argument = match (first & 31, rest.len()) {
        (argument @ 0..=23, 0) => u64::from(argument),
        (24, 1) => u64::from(*rest.first()?),
        (25, 2) => u64::from(u16::from_be_bytes(*rest.first_chunk()?)),
        (26, 4) => u64::from(u32::from_be_bytes(*rest.first_chunk()?)),
        (27, 8) => u64::from_be_bytes(*rest.first_chunk()?),
        _ => return None,
    };
    let argument = i64::try_from(argument).ok()?;
    match first >> 5 {
        0 => Some(argument),
        1 => Some(-1 - argument),
        _ => None,
    }
}

/// What [`number`] reads, in its shortest spelling.
pub(super) fn written(number: i64) -> Value {
    let (kind, argument) = match u64::try_from(number) {
        Ok(argument) => (0, argument),
        Err(_) => (1 << 5, !number.cast_unsigned()),
    };
    let [.., b4, b5, b6, b7] = argument.to_be_bytes();
    match argument {
        0..=23 => Value::from([kind | b7]),
        24..=0xff => Value::from([kind | 24, b7]),
        0x100..=0xffff => Value::from([kind | 25, b6, b7]),
        0x1_0000..=0xffff_ffff => Value::from([kind | 26, b4, b5, b6, b7]),
        _ => {
            let [b0, b1, b2, b3, ..] = argument.to_be_bytes();
            Value::from([kind | 27, b0, b1, b2, b3, b4, b5, b6, b7])
        }
    }
}

/// Joins `with` into `value`, map by map; where they differ in anything but maps, `with` wins.
pub(super) fn join(value: &mut ciborium::Value, with: &ciborium::Value) {
    let (Some(entries), Some(joined)) = (value.as_map_mut(), with.as_map()) else {
        *value = with.clone();
        return;
    };
    for (name, leaf) in joined {
        match entries.iter_mut().find(|(known, _)| known == name) {
            // The depth of both was limited when they were decoded, so this recursion is bounded.
            Some((_, known)) => join(known, leaf),
            None => entries.push((name.clone(), leaf.clone())),
        }
    }
}

/// Count and offset of the first item of an array of definite length.
fn array_head(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    if first >> 5 != 4 {
        return None;
    }
    match first & 31 {
        count @ 0..=23 => Some((u64::from(count), 1)),
        24 => Some((u64::from(*bytes.get(1)?), 2)),
        25 => Some((u64::from(u16::from_be_bytes(*bytes.get(1..)?.first_chunk()?)), 3)),
        26 => Some((u64::from(u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?)), 5)),
        27 => Some((u64::from_be_bytes(*bytes.get(1..)?.first_chunk()?), 9)),
        _ => None,
    }
}

fn write_array_head(count: u64, out: &mut Vec<u8>) {
    const ARRAY: u8 = 4 << 5;
    if let Ok(short @ 0..=23) = u8::try_from(count) {
        out.push(ARRAY | short);
    } else if let Ok(count) = u16::try_from(count) {
        out.push(ARRAY | 25);
        out.extend_from_slice(&count.to_be_bytes());
    } else {
        out.push(ARRAY | 27);
        out.extend_from_slice(&count.to_be_bytes());
    }
}

/// An array of indefinite length, written anew with a count.
fn relaid(key: &str, bytes: &[u8]) -> Result<(u64, Vec<u8>)> {
    let Ok(ciborium::Value::Array(items)) = decode::<ciborium::Value>(key, bytes) else {
        return Err(wrong_type(key, "an array", bytes));
    };
    let laid = encode(key, &items)?;
    let (count, at) = array_head(&laid).unwrap_or((0, 0));
    Ok((count, laid.get(at..).unwrap_or_default().to_vec()))
}
