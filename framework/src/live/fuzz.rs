//! The entry for fuzzing the frames a client sends, and for the corpus the tests run.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use super::frames::{CloseReason, Fault, FrameLimits, Frames, Incoming, Stream};

const LIMITS: FrameLimits = FrameLimits { message_bytes: 300, frame_bytes: 200 };

/// Bytes of a WebSocket's client, right after the handshake: whatever they are, they mean the same
/// however they are cut into pieces, and what the server says to them is well formed.
///
/// # Panics
///
/// When that does not hold.
pub fn websocket(data: &[u8]) {
    let whole = hear(&[data]);
    check(&whole);
    for cut in 0..=data.len().min(400) {
        let (left, right) = data.split_at(cut);
        assert_eq!(whole, hear(&[left, right]), "differs when cut at {cut}");
    }
    let single: Vec<_> = data.chunks(1).collect();
    assert_eq!(whole, hear(&single), "differs byte by byte");
}

/// What the server made of it.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    events: Vec<Incoming>,
    /// The code of the server's refusal; `None` if the client just went.
    refused: Option<u16>,
    closed: Option<Option<CloseReason>>,
    said: Vec<u8>,
}

fn hear(pieces: &[&[u8]]) -> Heard {
    let memory =
        Memory { pieces: pieces.iter().map(|piece| (*piece).into()).collect(), said: Vec::new() };
    let mut frames = Frames::new(memory, LIMITS);
    let mut heard = Heard { events: Vec::new(), refused: None, closed: None, said: Vec::new() };
    loop {
        match frames.next() {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Closed(reason)) => {
                heard.closed = Some(reason);
                break;
            }
            Ok(event) => heard.events.push(event),
            Err(Fault::Broken { code, reason }) => {
                frames.close(code, reason).ok();
                heard.refused = Some(code);
                break;
            }
            Err(Fault::Gone(_)) => break,
        }
    }
    heard.said = frames.stream().said.clone();
    heard
}

fn check(heard: &Heard) {
    for event in &heard.events {
        let length = match event {
            Incoming::Text(text) => text.len(),
            Incoming::Binary(bytes) => bytes.len(),
            _ => 0,
        };
        assert!(length <= LIMITS.message_bytes, "a message over the limit");
    }
    assert!(matches!(heard.refused, None | Some(1002 | 1007 | 1009)), "{:?}", heard.refused);
    let mut rest = heard.said.as_slice();
    let mut closes = 0;
    let mut pongs = 0;
    while let [first, length, behind @ ..] = rest {
        assert_eq!(closes, 0, "the server spoke after its close");
        // Unmasked control frames only: nobody sends messages here.
        assert!(*length <= 125, "a masked or long control frame");
        let length = usize::from(*length);
        let payload = behind.get(..length).unwrap_or_default();
        assert_eq!(payload.len(), length, "a frame was cut");
        match first {
            0x8a => pongs += 1,
            0x88 => {
                closes += 1;
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let is_sendable = |code| !matches!(code, 0..1000 | 1004..=1006 | 1015..3000);
                assert!(code.is_none_or(is_sendable), "a close with {code:?}");
                assert!(heard.refused.is_none_or(|refused| Some(refused) == code));
            }
            other => assert_eq!(*other, 0x8a, "neither a pong nor a close"),
        }
        rest = behind.get(length..).unwrap_or_default();
    }
    assert!(rest.is_empty(), "a head was cut");
    let controls = heard.events.iter().filter(|event| **event == Incoming::Control).count();
    assert!(pongs <= controls, "a pong nobody asked for");
    let is_over = heard.refused.is_some() || heard.closed.is_some();
    assert_eq!(closes, usize::from(is_over), "one close, and only at the end");
}

/// A client in memory: its bytes come piece by piece, then it is gone.
struct Memory {
    pieces: VecDeque<Vec<u8>>,
    said: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self.pieces.pop_front() else { return Ok(0) };
        if piece.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = piece.len().min(buffer.len());
        let rest = piece.split_off(count);
        if let Some(free) = buffer.get_mut(..count) {
            free.copy_from_slice(&piece);
        }
        // An empty one: nothing more for now.
        self.pieces.push_front(rest);
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.said.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Memory {
    fn write_pieces(&mut self, pieces: [&[u8]; 2]) -> io::Result<()> {
        pieces.iter().try_for_each(|piece| self.write_all(piece))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::websocket;

    /// Frames that are nearly right, so that much of what comes is accepted.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![
            8 => prop::sample::select(vec![0x81, 0x01, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8a]),
            1 => any::<u8>(),
        ];
        let payload = prop_oneof![
            3 => "[a-zäß∀👋]{0,9}".prop_map(String::into_bytes),
            2 => prop::collection::vec(any::<u8>(), 0..8),
            1 => prop::collection::vec(any::<u8>(), 100..220),
            1 => (990_u16..1020).prop_map(|code| code.to_be_bytes().to_vec()),
        ];
        let frame = (first, payload, any::<[u8; 4]>(), 0..20_u8).prop_map(
            |(first, payload, mask, fault)| {
                let length = payload.len();
                let mut bytes = vec![first];
                match u8::try_from(length) {
                    Ok(length @ 0..=125) => bytes.push(0x80 | length),
                    _ => {
                        bytes.push(0x80 | 126);
                        bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
                    }
                }
                if fault == 0 {
                    bytes[1] ^= 0x80;
                }
                bytes.extend(mask);
                bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
                bytes
            },
        );
        prop::collection::vec(frame, 0..5).prop_map(|frames| frames.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

        #[test]
        fn frames_mean_the_same_however_they_are_cut(data in frames()) {
            websocket(&data);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(data in prop::collection::vec(any::<u8>(), 0..60)) {
            websocket(&data);
        }
    }

    #[test]
    fn the_corpus_holds() {
        for data in [
            &b""[..],
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            b"\x01\x81\x00\x00\x00\x00\xc3\x80\x81\x00\x00\x00\x00\xbc",
            b"\x88\x82\x00\x00\x00\x00\x03\xe8",
            b"\x88\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00",
            b"\x89\x81\x00\x00\x00\x00x\x89\x81\x00\x00\x00\x00y\x88\x81\x00\x00\x00\x00z",
            b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
            b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01x",
            b"\x00\x80\x00\x00\x00\x00",
            b"\xc1\x80\x00\x00\x00\x00",
        ] {
            websocket(data);
        }
    }
}
