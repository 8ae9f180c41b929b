//! A raw connection: bytes out, answers in.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// One TCP connection to a server.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    /// The server may be killed at any byte.
    may_be_cut: bool,
}

/// One response as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, line ends included.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub(crate) is_whole: bool,
}

impl Answer {
    /// All values of a header, in their order.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }

    /// The only value of a header; `None` if absent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers(name);
        assert!(values.len() <= 1, "{name} came {} times:\n{}", values.len(), self.head);
        values.first().copied()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream, unread: Vec::new(), may_be_cut: false }
    }

    /// As [`connect`](Self::connect), where the server may be gone.
    pub(crate) fn try_connect(addr: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(addr).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Self { stream, unread: Vec::new(), may_be_cut: true })
    }

    /// Sends everything; a connection that the other end closed meanwhile is no failure.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match self.stream.write_all(bytes.as_ref()) {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(error) => panic!("sending failed: {error}"),
        }
    }

    /// Sends as much as the other end takes before it closes or the write times out, and says
    /// whether all of it went.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The next answer; `None` when the connection ends instead.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        self.try_answer_to(false)
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer, not the end of the connection")
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.answer()
    }

    pub(crate) fn try_answer_to(&mut self, is_head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.receive() == 0 {
                let part = String::from_utf8_lossy(&self.unread);
                assert!(part.is_empty() || self.may_be_cut, "the end came within a head: {part}");
                return None;
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head in ASCII");
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("no status line: {head:?}"));
        assert!(head.starts_with("HTTP/1.1 "), "{head:?}");
        let mut answer = Answer { status, head, body: Vec::new(), is_whole: true };
        if is_head || status < 200 || matches!(status, 204 | 304) {
            return Some(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.is_whole = self.read_chunks(&mut answer.body);
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a length");
            answer.is_whole = self.fill(length);
            answer.body = self.unread.drain(..length.min(self.unread.len())).collect();
        } else {
            answer.body = self.rest();
        }
        Some(answer)
    }

    /// Everything until the other end closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.receive() > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Reads to the end and says whether it was an orderly one, not a reset.
    pub(crate) fn ends_well(&mut self) -> bool {
        self.stream.read_to_end(&mut self.unread).is_ok()
    }

    /// Waits for the end of the connection; nothing may come before it.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "", "bytes before the end");
    }

    /// Exactly `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        assert!(self.fill(count), "the connection ended early: {:?}", self.unread);
        self.unread.drain(..count).collect()
    }

    fn fill(&mut self, count: usize) -> bool {
        while self.unread.len() < count {
            if self.receive() == 0 {
                return false;
            }
        }
        true
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let end = loop {
                if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                    break at;
                }
                if self.receive() == 0 {
                    return false;
                }
            };
            let line: Vec<u8> = self.unread.drain(..end + 2).collect();
            let digits = std::str::from_utf8(&line[..end]).expect("a chunk size");
            let size = usize::from_str_radix(digits, 16).expect("a chunk size");
            if !self.fill(size + 2) {
                body.extend(self.unread.drain(..size.min(self.unread.len())));
                return false;
            }
            body.extend(self.unread.drain(..size));
            let line_end: Vec<u8> = self.unread.drain(..2).collect();
            assert_eq!(line_end, b"\r\n", "a chunk ends with a line end");
            if size == 0 {
                return true;
            }
        }
    }

    /// Reads what comes next; 0 at the end, also at a hard one.
    fn receive(&mut self) -> usize {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            // A machine that was suspended for a while interrupts reads with a time limit.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.receive(),
            Err(error) => panic!("nothing came: {error}; unread: {:?}", self.unread),
        }
    }
}
