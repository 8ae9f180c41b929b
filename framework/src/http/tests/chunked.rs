//! Chunked bodies: every case cut at every place, through outputs of every size (in `fuzz`).

use crate::http::chunked::{
    ChunkedDecoder, Progress, push_chunk, push_chunk_header, push_last_chunk,
};
use crate::http::fuzz;
use crate::http::limits::Limits;

/// `Ok` is the content, the bytes left over and whether the body ended; `Err` the status.
fn check(input: &[u8], expected: Result<(&[u8], &[u8], bool), u16>) {
    fuzz::chunked(input);
    check_with(input, expected, &Limits::default());
}

fn check_with(input: &[u8], expected: Result<(&[u8], &[u8], bool), u16>, limits: &Limits) {
    let mut output = [0; 1024];
    let progress = ChunkedDecoder::new(limits).decode(input, &mut output);
    let outcome = match &progress {
        Ok(it) => Ok((&output[..it.produced], &input[it.consumed..], it.finished)),
        Err(refusal) => Err(refusal.status.as_u16()),
    };
    assert_eq!(outcome, expected, "{}", input.escape_ascii());
}

#[test]
fn content() {
    check(b"0\r\n\r\n", Ok((b"", b"", true)));
    check(b"5\r\nhello\r\n0\r\n\r\nGET", Ok((b"hello", b"GET", true)));
    check(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", Ok((b"abc", b"", true)));
    check(b"A;x=\"1;2\"\r\n0123456789\r\n0;y\r\nT: u\r\n\r\n", Ok((b"0123456789", b"", true)));
    check(b"2\r\n\r\n\r\n0\r\n\r\n", Ok((b"\r\n", b"", true)));
    check(b"5\r\nhel", Ok((b"hel", b"", false)));
    check(b"", Ok((b"", b"", false)));
    check(b"ffffffffffffffff\r\nabc", Ok((b"abc", b"", false)));
}

#[test]
fn sizes_are_hex_digits_and_nothing_else() {
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_hexdigit()) {
        check(&[byte], Err(400));
        if !b"\r;".contains(&byte) {
            check(&[b'1', byte], Err(400));
        }
        if byte != b'\n' {
            check(&[b'1', b'\r', byte], Err(400));
        }
    }
    check(b"0x1\r\n", Err(400));
    check(b"00000000000000000", Err(400));
    check(b"10000000000000000", Err(400));
}

#[test]
fn line_ends_are_exact() {
    for byte in 0..=u8::MAX {
        if byte != b'\r' {
            check(&[b"1\r\na".as_slice(), &[byte]].concat(), Err(400));
        }
        if byte != b'\n' {
            check(&[b"1\r\na\r".as_slice(), &[byte]].concat(), Err(400));
            check(&[b"0\r\n\r".as_slice(), &[byte]].concat(), Err(400));
            check(&[b"0\r\nX: y\r".as_slice(), &[byte]].concat(), Err(400));
        }
        if (byte < b' ' && byte != b'\t' && byte != b'\r') || byte == 0x7f {
            check(&[b"1;".as_slice(), &[byte]].concat(), Err(400));
            check(&[b"0\r\nX: ".as_slice(), &[byte]].concat(), Err(400));
        }
    }
}

#[test]
fn trailers_are_checked_and_dropped() {
    check(b"0\r\nContent-Length: 5\r\nX:\r\nY: \xe9\t \r\n\r\nz", Ok((b"", b"z", true)));
    for bad in [" X: y", "X : y", ": y", "X", "X\ty: z", "X: y\r\n z: a"] {
        check(format!("0\r\n{bad}\r\n\r\n").as_bytes(), Err(400));
    }
}

#[test]
fn limits() {
    let limits = Limits {
        max_chunk_line_bytes: 6,
        max_chunk_extension_bytes: 8,
        max_trailer_bytes: 10,
        ..Limits::default()
    };
    check_with(b"1;abcd\r\n", Ok((b"", b"", false)), &limits);
    check_with(b"1;abcde", Err(400), &limits);
    check_with(b"000001\r\n", Ok((b"", b"", false)), &limits);
    check_with(b"0000001", Err(400), &limits);
    check_with(b"1;abcd\r\nx\r\n1;abcd\r\nx\r\n", Ok((b"xx", b"", false)), &limits);
    check_with(b"1;abcd\r\nx\r\n1;abcd\r\nx\r\n1;a", Err(400), &limits);
    check_with(b"0\r\nABC: 5678\r\n\r\n", Ok((b"", b"", true)), &limits);
    check_with(b"0\r\nABC: 56789\r\n\r\n", Err(431), &limits);
    check_with(b"0\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", Err(431), &limits);
}

#[test]
fn an_output_without_room_stops_before_the_content_and_at_the_end() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let stopped = decoder.decode(b"2\r\nab", &mut []).unwrap();
    assert_eq!(stopped, Progress { consumed: 3, produced: 0, finished: false });
    let mut output = [0; 2];
    let rest = decoder.decode(b"ab\r\n0\r\n\r\nx", &mut output).unwrap();
    assert_eq!(rest, Progress { consumed: 9, produced: 2, finished: true });
    assert!(decoder.is_finished());
    let nothing = decoder.decode(b"x", &mut output).unwrap();
    assert_eq!(nothing, Progress { consumed: 0, produced: 0, finished: true });
}

#[test]
fn discarding_is_bounded() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let progress = decoder.discard(b"5\r\nhello\r\n", 3).unwrap();
    assert_eq!(progress, Progress { consumed: 6, produced: 3, finished: false });
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    for len in [1, 9, 10, 15, 16, 255, 256, 4095, 65_536] {
        let data = vec![b'x'; len];
        let mut coded = Vec::new();
        push_chunk(&mut coded, &data);
        push_chunk(&mut coded, b"");
        push_last_chunk(&mut coded);
        let mut output = vec![0; len + 1];
        let progress = ChunkedDecoder::new(&Limits::default()).decode(&coded, &mut output).unwrap();
        assert_eq!(progress, Progress { consumed: coded.len(), produced: len, finished: true });
    }
    let mut header = Vec::new();
    push_chunk_header(&mut header, 0xa0f);
    assert_eq!(header, b"a0f\r\n");
}
