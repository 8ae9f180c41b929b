//! Cookies are read as they were sent.

use crate::http::cookie::cookies;
use crate::http::fuzz;

fn check(value: &[u8], expected: &[(&str, &str)]) {
    fuzz::cookie(value);
    let found: Vec<_> = cookies(std::iter::once(value)).collect();
    assert_eq!(found, expected, "{}", value.escape_ascii());
}

#[test]
fn pairs() {
    check(b"", &[]);
    check(b"a=1", &[("a", "1")]);
    check(b"a=1; b=2;c=3 ;\td=4", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    check(b"a=", &[("a", "")]);
    check(b"a=b=c==", &[("a", "b=c==")]);
    check(b"a = b c ", &[("a", "b c")]);
    check(b"a=1; a=2", &[("a", "1"), ("a", "2")]);
    check(b"A=1; a=2", &[("A", "1"), ("a", "2")]);
}

#[test]
fn values_are_literal() {
    check(b"a=x+y%20z%", &[("a", "x+y%20z%")]);
    check(b"a=\"x\"; b=\"", &[("a", "\"x\""), ("b", "\"")]);
    check(b"a=1,b=2", &[("a", "1,b=2")]);
    check(b"$Version=1; __Host-s=x", &[("$Version", "1"), ("__Host-s", "x")]);
}

#[test]
fn one_bad_pair_does_not_spoil_the_others() {
    check(b"=v; novalue; ; x=1", &[("x", "1")]);
    check(b"a=\xff; \xfe=1; b=1", &[("b", "1")]);
    check("é=ü".as_bytes(), &[("é", "ü")]);
}

#[test]
fn bounded() {
    let many = "a=1;".repeat(5000);
    assert_eq!(cookies(std::iter::once(many.as_bytes())).count(), 256);
    let lines = std::iter::repeat_n(b"a=1; b=2".as_slice(), 300);
    assert_eq!(cookies(lines).count(), 256);
}
