//! Whether the page that opens a WebSocket may do so.
//!
//! Browsers let any page open a WebSocket to any host and send that host's cookies with it; no
//! same-origin rule applies. Without this check a foreign page could read and write as the visitor
//! (cross-site WebSocket hijacking). Pure: texts in, a verdict out.

/// What is allowed beside the app's own origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Lower case, as browsers write them; `*` for all.
    pub(super) allowed: &'a [String],
    /// Whether a request that names no origin is refused.
    pub(super) required: bool,
}

/// The origin the request was sent to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) is_https: bool,
    /// Host and port, as in the `Host` header.
    pub(super) host: &'a str,
}

/// Whether a request that named these origins may open a WebSocket at `own`.
pub(super) fn is_allowed<'a>(
    mut origins: impl Iterator<Item = &'a [u8]>,
    own: Own<'_>,
    rules: Rules<'_>,
) -> bool {
    let Some(origin) = origins.next() else { return !rules.required };
    // Two of them: nobody honest sends that, and the proxy before us may have checked the other.
    if origins.next().is_some() {
        return false;
    }
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    let is_listed = |allowed: &String| {
        allowed == "*" || allowed.eq_ignore_ascii_case(origin) || same(parts(allowed), origin)
    };
    same(parts_of(own), origin) || rules.allowed.iter().any(is_listed)
}

/// Scheme (https?), host, port.
type Parts<'a> = Option<(bool, &'a str, u16)>;

fn same(one: Parts<'_>, origin: &str) -> bool {
    match (one, parts(origin)) {
        (Some((https, host, port)), Some((other_https, other_host, other_port))) => {
            https == other_https && port == other_port && host.eq_ignore_ascii_case(other_host)
        }
        _ => false,
    }
}

fn parts_of(own: Own<'_>) -> Parts<'_> {
    authority(own.is_https, own.host)
}

fn parts(origin: &str) -> Parts<'_> {
    let strip = |scheme: &str| {
        let head = origin.get(..scheme.len())?;
        let rest = origin.get(scheme.len()..)?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    match (strip("https://"), strip("http://")) {
        (Some(rest), _) => authority(true, rest),
        (None, Some(rest)) => authority(false, rest),
        (None, None) => None,
    }
}

fn authority(is_https: bool, text: &str) -> Parts<'_> {
    let default = if is_https { 443 } else { 80 };
    // The colon of a port comes behind the bracket of an IPv6 address.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            match (is_number, port.parse()) {
                (true, Ok(port)) => (host, port),
                (false, _) if port.is_empty() => (host, default),
                _ => return None,
            }
        }
        _ => (text, default),
    };
    let is_host = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    is_host.then_some((is_https, host, port))
}

#[cfg(test)]
mod tests {
    use super::{Own, Rules, is_allowed};

    fn check(own: (bool, &str), allowed: &[&str], origins: &[&str]) -> bool {
        let allowed: Vec<_> = allowed.iter().map(|&origin| origin.to_owned()).collect();
        let rules = Rules { allowed: &allowed, required: false };
        let own = Own { is_https: own.0, host: own.1 };
        is_allowed(origins.iter().map(|origin| origin.as_bytes()), own, rules)
    }

    #[test]
    fn pages_of_the_own_origin_may_connect() {
        for (https, host, origin, expected) in [
            (false, "shop.example", "http://shop.example", true),
            (false, "shop.example", "HTTP://Shop.Example", true),
            (false, "shop.example:80", "http://shop.example", true),
            (false, "shop.example", "http://shop.example:80", true),
            (true, "shop.example", "https://shop.example:443", true),
            (true, "shop.example:443", "https://shop.example", true),
            (false, "localhost:8080", "http://localhost:8080", true),
            (false, "[::1]:8080", "http://[::1]:8080", true),
            (false, "[::1]", "http://[::1]", true),
            (false, "shop.example", "https://shop.example", false),
            (true, "shop.example", "http://shop.example", false),
            (false, "shop.example:8080", "http://shop.example", false),
            (false, "shop.example:8080", "http://shop.example:8081", false),
            (false, "shop.example", "http://evil.example", false),
            (false, "shop.example", "http://shop.example.evil.example", false),
            (false, "shop.example", "http://evil-shop.example", false),
            (false, "shop.example", "http://shop.example@evil.example", false),
            (false, "shop.example", "http://shop.example/", false),
            (false, "shop.example", "http://shop.example:", true),
            (false, "shop.example", "http://shop.example:+80", false),
            (false, "shop.example", "http://shop.example:65616", false),
            (false, "shop.example", "null", false),
            (false, "shop.example", "", false),
            (false, "shop.example", "shop.example", false),
            (false, "shop.example", "ws://shop.example", false),
            (false, "", "http://", false),
            (false, "[::1]", "http://[::2]", false),
        ] {
            assert_eq!(check((https, host), &[], &[origin]), expected, "{host} from {origin}");
        }
    }

    #[test]
    fn the_list_adds_to_the_own_origin() {
        let list = ["https://app.example", "http://localhost:3000", "null"];
        for (origin, expected) in [
            ("https://app.example", true),
            ("https://APP.example", true),
            ("https://app.example:443", true),
            ("http://app.example", false),
            ("http://localhost:3000", true),
            ("http://localhost", false),
            ("null", true),
            ("http://shop.example", true),
            ("http://evil.example", false),
        ] {
            assert_eq!(check((false, "shop.example"), &list, &[origin]), expected, "{origin}");
        }
        assert!(check((false, "shop.example"), &["*"], &["http://evil.example"]));
    }

    #[test]
    fn two_origins_are_none_that_can_be_believed() {
        let own = "http://shop.example";
        assert!(!check((false, "shop.example"), &["*"], &[own, own]));
    }

    #[test]
    fn who_names_no_origin_is_let_in_unless_it_is_required() {
        assert!(check((false, "shop.example"), &[], &[]));
        let own = Own { is_https: false, host: "shop.example" };
        let none = std::iter::empty::<&[u8]>();
        assert!(!is_allowed(none, own, Rules { allowed: &["*".to_owned()], required: true }));
    }
}
