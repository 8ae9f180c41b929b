//! The chunked transfer coding (RFC 9112, 7.1): a strict decoder and the few bytes an encoder
//! needs.

use super::bytes::{TOKEN, VALUE, class, hex_digit};
use super::limits::Limits;
use super::refusal::Refusal;

/// 16 hexadecimal digits are 64 bits; a longer number, even of zeros, is refused.
const MAX_SIZE_DIGITS: u8 = 16;

const MALFORMED: Refusal = Refusal::bad_request("malformed chunk size");
const LINE_TOO_LONG: Refusal = Refusal::bad_request("chunk size line too long");
const BAD_EXTENSION: Refusal = Refusal::bad_request("forbidden byte in a chunk extension");
const BAD_LINE_END: Refusal = Refusal::bad_request("malformed line end in a chunked body");
const BAD_TRAILER: Refusal = Refusal::bad_request("malformed trailer");

/// What the decoder expects next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A digit of the chunk size, or what ends it; how many digits came so far.
    Size(u8),
    Extension,
    SizeLf,
    /// So many bytes of content, at least one.
    Data(u64),
    DataCr,
    DataLf,
    /// The first byte of a trailer line or of the final empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    FinalLf,
    Finished,
}

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Bytes of the input that are done with; the rest is to be handed in again.
    pub(crate) consumed: usize,
    /// Bytes of content written to the output (or dropped).
    pub(crate) produced: usize,
    /// The body is complete; input behind `consumed` belongs to the next request.
    pub(crate) finished: bool,
}

/// Decodes one chunked body from pieces of any size. After a refusal it must not be used again.
#[derive(Debug, Clone)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// The chunk size as far as it has been read.
    size: u64,
    line_bytes: usize,
    extension_bytes: usize,
    trailer_bytes: usize,
    max_line_bytes: usize,
    max_extension_bytes: usize,
    max_trailer_bytes: usize,
}

impl ChunkedDecoder {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size(0),
            size: 0,
            line_bytes: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            max_line_bytes: limits.max_chunk_line_bytes,
            max_extension_bytes: limits.max_chunk_extension_bytes,
            max_trailer_bytes: limits.max_trailer_bytes,
        }
    }

    /// Decodes from `input` into `output` until one of them is used up or the body ends.
    pub(crate) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, Refusal> {
        let mut produced = 0;
        let room = output.len();
        self.run(input, room, |content| {
            let free = output.get_mut(produced..produced + content.len());
            free.unwrap_or_default().copy_from_slice(content);
            produced += content.len();
        })
    }

    /// Decodes at most `max` bytes of content and drops them, to get at the next request.
    pub(crate) fn discard(&mut self, input: &[u8], max: usize) -> Result<Progress, Refusal> {
        self.run(input, max, |_| {})
    }

    /// Whether the final empty line has been read.
    pub(crate) fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    fn run(
        &mut self,
        input: &[u8],
        room: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Progress, Refusal> {
        let mut progress = Progress::default();
        let mut rest = input;
        while let [byte, tail @ ..] = rest {
            match self.state {
                State::Finished => break,
                State::Data(left) => {
                    let free = room - progress.produced;
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(free).min(rest.len());
                    if len == 0 {
                        break;
                    }
                    let (content, behind) = rest.split_at(len);
                    take(content);
                    progress.produced += len;
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                    rest = behind;
                }
                _ => {
                    self.step(*byte)?;
                    rest = tail;
                }
            }
        }
        progress.consumed = input.len() - rest.len();
        progress.finished = self.is_finished();
        Ok(progress)
    }

    /// Takes one byte of what surrounds the content.
    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::Size(digits), _) => self.size_byte(digits, byte)?,
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) => self.extension_byte(byte)?,
            (State::SizeLf, b'\n') => {
                self.line_bytes = 0;
                if self.size == 0 { State::TrailerStart } else { State::Data(self.size) }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.size = 0;
                State::Size(0)
            }
            (State::TrailerStart, b'\r') => State::FinalLf,
            (State::TrailerStart | State::TrailerName | State::TrailerValue, _) => {
                self.trailer_byte(byte)?
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::FinalLf, b'\n') => State::Finished,
            (
                State::SizeLf
                | State::DataCr
                | State::DataLf
                | State::TrailerLf
                | State::FinalLf
                | State::Data(_)
                | State::Finished,
                _,
            ) => return Err(BAD_LINE_END),
        };
        Ok(())
    }

    fn size_byte(&mut self, digits: u8, byte: u8) -> Result<State, Refusal> {
        if let Some(digit) = hex_digit(byte) {
            if digits == MAX_SIZE_DIGITS {
                return Err(MALFORMED);
            }
            self.count_line_byte()?;
            self.size = self.size << 4 | u64::from(digit);
            return Ok(State::Size(digits + 1));
        }
        match byte {
            _ if digits == 0 => Err(MALFORMED),
            b'\r' => Ok(State::SizeLf),
            b';' => {
                self.count_line_byte()?;
                Ok(State::Extension)
            }
            _ => Err(MALFORMED),
        }
    }

    /// Extensions have no meaning here. They may hold any byte of a header value, so that a quoted
    /// string passes, but nothing that another reader could take for a line end.
    fn extension_byte(&mut self, byte: u8) -> Result<State, Refusal> {
        if class(byte) & VALUE == 0 {
            return Err(BAD_EXTENSION);
        }
        self.count_line_byte()?;
        self.extension_bytes += 1;
        if self.extension_bytes > self.max_extension_bytes {
            return Err(LINE_TOO_LONG);
        }
        Ok(State::Extension)
    }

    fn count_line_byte(&mut self) -> Result<(), Refusal> {
        self.line_bytes += 1;
        if self.line_bytes > self.max_line_bytes { Err(LINE_TOO_LONG) } else { Ok(()) }
    }

    /// Trailers are validated like headers and dropped: merging them would let a client add, after
    /// the fact, fields that decisions have been made on.
    fn trailer_byte(&mut self, byte: u8) -> Result<State, Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.max_trailer_bytes {
            return Err(Refusal::fields_too_large("the trailer section is too long"));
        }
        let class = class(byte);
        match (self.state, byte) {
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if class & VALUE != 0 => Ok(State::TrailerValue),
            (State::TrailerStart | State::TrailerName, _) if class & TOKEN != 0 => {
                Ok(State::TrailerName)
            }
            _ => Err(BAD_TRAILER),
        }
    }
}

/// Appends the size line of a chunk of `len` bytes, which must not be 0: that would end the body.
pub(crate) fn push_chunk_header(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        let digit = u8::try_from(len >> (place * 4) & 0xf).unwrap_or_default();
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `data` as one chunk; nothing at all if it is empty.
pub(crate) fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        push_chunk_header(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the last chunk and the end of the empty trailer section.
pub(crate) fn push_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}
