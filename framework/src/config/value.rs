//! The text of one value -> its type, within its limits.
//!
//! Each function here returns a reader: text in, value out, or a sentence that says what is
//! accepted. Readers know no section, key or file; `Keys` puts those in front.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::suggest::did_you_mean;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// Units in milliseconds, the largest last.
const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 4] = [("", 1), ("K", KIB), ("M", MIB), ("G", GIB)];

/// How units are written elsewhere, in lower case, and here.
const TIME_WORDS: [(&str, &[&str]); 5] = [
    ("ms", &["ms", "msec", "millis", "milliseconds"]),
    ("s", &["s", "sec", "secs", "second", "seconds"]),
    ("m", &["m", "min", "mins", "minute", "minutes"]),
    ("h", &["h", "hr", "hrs", "hour", "hours"]),
    ("d", &["d", "day", "days"]),
];
const SIZE_WORDS: [(&str, &[&str]); 4] = [
    ("", &["b", "byte", "bytes"]),
    ("K", &["k", "kb", "kib"]),
    ("M", &["m", "mb", "mib"]),
    ("G", &["g", "gb", "gib"]),
];

/// A duration with its unit, within `range`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let value = parse_duration(text)?;
        if range.contains(&value) {
            return Ok(value);
        }
        let (from, to) = (write_duration(*range.start()), write_duration(*range.end()));
        Err(format!("it must be from {from} to {to}"))
    }
}

/// As [`duration`], but a plain number counts as seconds; zero is `None`.
pub(super) fn plain_seconds(max: Duration) -> impl Fn(&str) -> Result<Option<Duration>, String> {
    move |text| {
        let with_unit = if is_digits(text) { format!("{text}s") } else { text.to_owned() };
        let value = duration(Duration::ZERO..=max)(&with_unit)?;
        Ok((!value.is_zero()).then_some(value))
    }
}

/// As [`duration`], where 0 means never.
pub(super) fn zero_or_duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Option<Duration>, String> {
    let read = duration(range);
    move |text| match text {
        "0" | "0s" => Ok(None),
        _ => read(text).map(Some).map_err(|message| format!("{message}; or 0")),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    if unit.is_empty() && is_digits(digits) {
        return Err(format!("a duration needs its unit; did you mean \"{digits}s\"?"));
    }
    let factor = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let (Some(factor), true) = (factor, is_digits(digits)) else {
        let hint = meant_unit(digits, unit, &TIME_WORDS);
        return Err(format!("it takes a duration such as 500ms, 75s, 2m, 24h or 30d{hint}"));
    };
    let millis = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or_else(|| "the duration is too long".to_owned())
}

/// Writes a duration the way config.ini takes it, in the largest unit that fits.
pub(super) fn write_duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let fits = |factor: u64| millis.is_multiple_of(factor) && millis >= factor;
    match TIME_UNITS.iter().rev().find(|(_, factor)| fits(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", millis / factor),
        None => "0s".to_owned(),
    }
}

/// A number of bytes within `range`: `512`, `32K`, `2M`, `1G`.
pub(super) fn size<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let value = parse_size(text)?;
        let in_range = range.contains(&value).then_some(value);
        in_range.and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
            format!(
                "it must be from {} to {}",
                write_size(*range.start()),
                write_size(*range.end())
            )
        })
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_unit(text);
    let factor = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (Some((_, factor)), true) = (factor, is_digits(digits)) else {
        let hint = meant_unit(digits, unit, &SIZE_WORDS);
        return Err(format!("it takes a size in bytes such as 512, 32K, 2M or 1G{hint}"));
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    bytes.ok_or_else(|| "the size is too large".to_owned())
}

/// Writes a size the way config.ini takes it, in the largest unit that fits.
pub(super) fn write_size(bytes: u64) -> String {
    let fits = |factor: u64| bytes.is_multiple_of(factor) && bytes >= factor;
    match SIZE_UNITS.iter().rev().find(|(_, factor)| fits(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// A whole number within `range`.
pub(super) fn count<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let value = is_digits(text).then(|| text.parse().ok()).flatten();
        let in_range = value.filter(|value| range.contains(value));
        in_range.and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
            format!("it takes a whole number from {} to {}", range.start(), range.end())
        })
    }
}

/// As [`count`], where 0 means that there is no limit, or that maypole chooses.
pub(super) fn zero_or<T: TryFrom<u64>>(max: u64) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text == "0" { Ok(None) } else { count(0..=max)(text).map(Some) }
}

/// What `read` takes, or `word` for `None`.
pub(super) fn word_or<T>(
    word: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| {
        if text == word {
            return Ok(None);
        }
        read(text).map(Some).map_err(|message| format!("{message}; or {word:?}"))
    }
}

/// What `read` takes, or nothing at all.
pub(super) fn optional<T>(
    read: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// true, on, yes; false, off, no.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err("it takes true or false (or on, off, yes, no)".to_owned()),
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let hint = did_you_mean(text, names.iter().copied());
        Err(format!("it takes {}{hint}", names.join(" | ")))
    }
}

/// Text that `is_good`, described by `takes`.
pub(super) fn text_that(
    takes: &'static str,
    is_good: impl Fn(&str) -> bool,
) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if is_good(text) { Ok(text.to_owned()) } else { Err(format!("it takes {takes}")) }
    }
}

/// `host:port`. The host is an address, since a name would need DNS before anything runs;
/// `localhost` alone is understood.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let takes = "it takes one address and port, such as 127.0.0.1:8080 or [::1]:8080";
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "8080"));
    let Ok(port) = count::<u16>(0..=65_535)(port) else {
        return Err(format!("{takes}; the port is a number from 0 to 65535"));
    };
    match host {
        "localhost" if text != host => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        "" | "*" => Err(format!("{takes}; for every interface write 0.0.0.0:{port}")),
        host if host.parse::<IpAddr>().is_ok() && text == host => {
            Err(format!("{takes}; did you mean \"{host}:{port}\"?"))
        }
        _ => Err(takes.to_owned()),
    }
}

/// A comma list of addresses and networks, such as `10.0.0.0/8, ::1`; may be empty.
pub(super) fn networks(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<_> = text.split(',').map(str::trim).collect();
    if items == [""] {
        return Ok(Vec::new());
    }
    match items.iter().find(|item| !is_network(item)) {
        None => Ok(items.into_iter().map(str::to_owned).collect()),
        Some(item) => Err(format!(
            "{item:?} is no address or network; it takes a list such as \
             10.0.0.0/8, 192.168.1.7, ::1"
        )),
    }
}

/// A comma list of origins as browsers write them, such as `https://example.org`; `null`, which is
/// what sandboxed pages send, and `*` for all of them. May be empty.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<_> = text.split(',').map(|item| item.trim().to_ascii_lowercase()).collect();
    if items == [""] {
        return Ok(Vec::new());
    }
    match items.iter().find(|item| !is_origin(item)) {
        None => Ok(items),
        Some(item) => Err(format!(
            "{item:?} is no origin; it takes a list such as https://example.org, \
             http://localhost:3000, without paths; or \"*\""
        )),
    }
}

fn is_origin(item: &str) -> bool {
    let host = item.strip_prefix("https://").or_else(|| item.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\']) && host.is_ascii()
    };
    matches!(item, "*" | "null") || host.is_some_and(is_host)
}

fn is_network(item: &str) -> bool {
    let (address, prefix) = match item.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (item, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let max = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| count::<u64>(0..=max)(prefix).is_ok())
}

/// `; did you mean "20M"?` for a number with a unit that is known by another spelling.
fn meant_unit(digits: &str, unit: &str, words: &[(&str, &[&str])]) -> String {
    let word = unit.trim().to_ascii_lowercase();
    match words.iter().find(|(_, spellings)| spellings.contains(&word.as_str())) {
        Some((ours, _)) if is_digits(digits) => format!("; did you mean \"{digits}{ours}\"?"),
        _ => String::new(),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
