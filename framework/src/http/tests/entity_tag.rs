//! Entity tags in conditions.

use crate::http::entity_tag::{EntityTag, entity_tags};
use crate::http::fuzz;

#[track_caller]
fn check(value: &str, expected: &[&str]) {
    fuzz::entity_tag(value.as_bytes());
    let written = |tag: EntityTag<'_>| {
        let weak = if tag.is_weak { "W/" } else { "" };
        format!("{weak}{}", str::from_utf8(tag.opaque).unwrap())
    };
    let tags: Vec<_> = entity_tags(value.as_bytes()).map(written).collect();
    assert_eq!(tags, expected, "{value:?}");
}

#[test]
fn lists() {
    check("\"a\"", &["\"a\""]);
    check("W/\"a\"", &["W/\"a\""]);
    check("\"\"", &["\"\""]);
    check("\"a\", W/\"b\",\"c\"", &["\"a\"", "W/\"b\"", "\"c\""]);
    check(" ,, \t\"a\" ,\t, \"b\", ", &["\"a\"", "\"b\""]);
    // A comma within belongs to the tag.
    check("\"a,b\",\"W/c\"", &["\"a,b\"", "\"W/c\""]);
    check("\"\u{e9}!#~\"", &["\"\u{e9}!#~\""]);
}

#[test]
fn what_is_no_tag_ends_the_list() {
    for value in [
        "",
        "*",
        "a",
        "\"",
        "\"a",
        "a\"",
        "'a'",
        "w/\"a\"",
        "W\"a\"",
        "W/ \"a\"",
        "\"a b\"",
        "\"a\"b",
        "\"a\"\"b\"",
        "W/",
    ] {
        check(value, &[]);
    }
    check("\"a\", b, \"c\"", &["\"a\""]);
    check("\"a\", *", &["\"a\""]);
    check("\"a\", \"b", &["\"a\""]);
}

/// RFC 9110, 8.8.3.2: the table of comparisons.
#[test]
fn comparisons() {
    let tag = |text: &'static str| entity_tags(text.as_bytes()).next().unwrap();
    for (one, other, strongly, weakly) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "W/\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        assert_eq!(tag(one).is_strongly(&tag(other)), strongly, "{one} {other}");
        assert_eq!(tag(one).is_weakly(&tag(other)), weakly, "{one} {other}");
    }
}
