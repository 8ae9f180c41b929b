//! What may be answering where a redis should: words for whoever wrote the wrong address.

use std::io::{self, Read};

use super::transport::Transport;

/// How many bytes tell who speaks.
const FIRST_BYTES: usize = 5;
/// Records of TLS begin so: an alert, a greeting.
const TLS_RECORDS: [&[u8]; 2] = [&[0x15, 3], &[0x16, 3]];

/// Remembers how an answer began and why it ended, to say what it may be instead of one.
pub(super) struct Overheard<'a> {
    transport: &'a Transport,
    first: Vec<u8>,
    failure: Option<(io::ErrorKind, String)>,
}

impl<'a> Overheard<'a> {
    pub(super) fn new(transport: &'a Transport) -> Self {
        Self { transport, first: Vec::new(), failure: None }
    }

    pub(super) fn told(&self) -> String {
        match &self.failure {
            _ if TLS_RECORDS.iter().any(|record| self.first.starts_with(record)) => {
                "what answers there speaks TLS; should it be rediss://?".to_owned()
            }
            // Servers that want TLS hang up on whoever greets them without.
            Some((kind, failure))
                if self.first.is_empty()
                    && *kind != io::ErrorKind::TimedOut
                    && !self.transport.is_encrypted() =>
            {
                format!("{failure} and answered nothing (a port for TLS is rediss://)")
            }
            Some((_, failure)) => failure.clone(),
            None => {
                let first = self.first.escape_ascii();
                format!("what answers there does not speak redis's protocol: it says \"{first}..\"")
            }
        }
    }
}

impl Read for Overheard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.transport.read(buffer);
        let mut failed = |error: &io::Error| self.failure = Some((error.kind(), told(error)));
        match &outcome {
            Ok(0) => failed(&io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                let missing = FIRST_BYTES.saturating_sub(self.first.len()).min(*count);
                self.first.extend_from_slice(buffer.get(..missing).unwrap_or_default());
            }
            Err(error) => failed(error),
        }
        outcome
    }
}

/// Why there is no encryption. A plain redis takes the greeting for a long line and waits for its
/// end, unless the random bytes in it hold one: then it answers, or hangs up. So these have one
/// wording, or each attempt would be news in the log.
pub(super) fn told_of_encryption(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let is_no_tls = matches!(cause, Some(rustls::Error::InvalidMessage(_)))
        || matches!(
            error.kind(),
            io::ErrorKind::TimedOut
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        );
    if !is_no_tls {
        return error;
    }
    io::Error::other("nothing answers the TLS greeting there; should it be a plain redis://?")
}

/// An error in words for people; those of the kernel carry their number too.
pub(super) fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::TimedOut => "it took too long".to_owned(),
        _ => error.to_string(),
    }
}
