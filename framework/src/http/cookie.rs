//! The `Cookie` request header, read literally (RFC 6265bis, 5.8.3 and 4.2).

use memchr::memchr;

use super::bytes::trim;

/// More cookies than any browser keeps for one host; the rest is not looked at.
const MAX_COOKIES: usize = 256;

/// Names and values of all cookies in these `Cookie` header values, in order.
///
/// Values are opaque: no percent-decoding, `+` is no space, quotes belong to the value, since that
/// is how the browser stored them. Only white space around name and value goes. Pairs without `=`,
/// without a name, or not in UTF-8 are left out; one of them does not spoil the others.
pub(crate) fn cookies<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    values.flat_map(pairs).filter_map(parse_pair).take(MAX_COOKIES)
}

/// What lies between semicolons. Browsers send long values, so they are searched many bytes at once.
fn pairs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let all = rest?;
        let end = memchr(b';', all);
        rest = end.and_then(|end| all.get(end + 1..));
        all.get(..end.unwrap_or(all.len()))
    })
}

fn parse_pair(pair: &[u8]) -> Option<(&str, &str)> {
    let at = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = pair.split_at_checked(at)?;
    let name = std::str::from_utf8(trim(name)).ok()?;
    let value = std::str::from_utf8(trim(value.get(1..)?)).ok()?;
    (!name.is_empty()).then_some((name, value))
}
