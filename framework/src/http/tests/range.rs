//! Ranges of bytes, by the examples of the RFC and by all that is none.

use proptest::prelude::*;

use crate::http::fuzz;
use crate::http::range::{Selection, select};

const NOTHING: Selection = Selection::Nothing;
const WHOLE: Selection = Selection::Whole;

fn part(start: u64, length: u64) -> Selection {
    Selection::Part { start, length }
}

#[track_caller]
fn check(value: &str, length: u64, expected: Selection) {
    fuzz::range(value.as_bytes());
    assert_eq!(select(value.as_bytes(), length), expected, "{value:?} of {length}");
}

#[test]
fn one_range() {
    // RFC 9110, 14.1.2, of 10000 bytes.
    check("bytes=0-499", 10_000, part(0, 500));
    check("bytes=500-999", 10_000, part(500, 500));
    check("bytes=-500", 10_000, part(9500, 500));
    check("bytes=9500-", 10_000, part(9500, 500));
    for (value, expected) in [
        ("bytes=0-", part(0, 10)),
        ("bytes=0-0", part(0, 1)),
        ("bytes=9-9", part(9, 1)),
        ("bytes=9-10", part(9, 1)),
        ("bytes=0-9", part(0, 10)),
        ("bytes=-1", part(9, 1)),
        ("bytes=-10", part(0, 10)),
        ("bytes=-11", part(0, 10)),
        ("BYTES=3-4", part(3, 2)),
        ("bytes=003-0004", part(3, 2)),
        ("bytes=3-99999999999999999999999", part(3, 7)),
        ("bytes=-99999999999999999999999", part(0, 10)),
        ("bytes=10-", NOTHING),
        ("bytes=10-20", NOTHING),
        ("bytes=-0", NOTHING),
        ("bytes=18446744073709551615-", NOTHING),
        ("bytes=18446744073709551616-18446744073709551617", NOTHING),
    ] {
        check(value, 10, expected);
    }
    check("bytes=1-", u64::MAX, part(1, u64::MAX - 1));
    check("bytes=0-", u64::MAX, part(0, u64::MAX));
    check("bytes=0-,18446744073709551614-", u64::MAX, part(0, u64::MAX));
}

#[test]
fn several_ranges_are_one_part_or_the_whole() {
    for (value, expected) in [
        ("bytes=0-1,2-3", part(0, 4)),
        ("bytes=0-4,2-6", part(0, 7)),
        ("bytes=2-6,0-4", part(0, 7)),
        ("bytes=2-3,0-1", part(0, 4)),
        ("bytes=0-,5-5,-3", part(0, 10)),
        ("bytes= ,0-1,\t, 2-2 ,", part(0, 3)),
        // What begins outside counts for nothing.
        ("bytes=0-1,10-", part(0, 2)),
        ("bytes=-0,3-4", part(3, 2)),
        ("bytes=10-,20-", NOTHING),
        ("bytes=0-0,2-2", WHOLE),
        ("bytes=0-0,-1", WHOLE),
        // Not by the ranges before it, though by all together.
        ("bytes=0-0,2-2,1-1", WHOLE),
    ] {
        check(value, 10, expected);
    }
    let many = format!("bytes={}", vec!["0-"; 10_000].join(","));
    assert_eq!(select(many.as_bytes(), 10), part(0, 10));
    let many: Vec<_> = (0..5000).map(|at| format!("{0}-{0}", 2 * at)).collect();
    assert_eq!(select(format!("bytes={}", many.join(",")).as_bytes(), 100_000), WHOLE);
}

#[test]
fn what_is_no_range_is_passed_over() {
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=0x1-2",
        "bytes=1 - 2",
        "bytes=2-1",
        "bytes=20-10",
        "bytes=0-1;2-3",
        "bytes=0-1,x",
        "bytes=x,0-1",
        "bytes=0-1,5-4",
        "bytes =0-1",
        " bytes=0-1",
        "bytes:0-1",
        "byte=0-1",
        "items=0-1",
        "seconds=1-2",
        "0-1",
    ] {
        check(value, 10, WHOLE);
    }
}

#[test]
fn of_nothing_there_is_no_part() {
    for value in ["bytes=0-", "bytes=0-0", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=x"] {
        check(value, 0, WHOLE);
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[0-9]", 2 => "[0-2][0-9]", 1 => "[0-9]{18,24}", 1 => ""]
}

proptest! {
    #[test]
    fn a_selection_is_what_the_ranges_name(
        ranges in prop::collection::vec((number(), number()), 0..6),
        gap in prop_oneof![Just(","), Just(" , "), Just(",,")],
    ) {
        let ranges: Vec<_> = ranges.iter().map(|(a, b)| format!("{a}-{b}")).collect();
        fuzz::range(format!("bytes={}", ranges.join(gap)).as_bytes());
    }

    #[test]
    fn no_bytes_harm(bytes in prop::collection::vec(0_u8.., 0..40)) {
        fuzz::range(&bytes);
        fuzz::range(&[b"bytes=", &bytes[..]].concat());
    }
}
