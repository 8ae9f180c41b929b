//! As much of redis's protocol as tests need, on a plain socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::PATIENCE;

/// One connection to a redis-server.
#[derive(Debug)]
pub(crate) struct RedisClient {
    stream: BufReader<TcpStream>,
}

/// What redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Text(String),
    Integer(i64),
    Error(String),
    List(Vec<Reply>),
}

impl Reply {
    /// The text of a string or a number.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("no number: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            other => panic!("no list: {other:?}"),
        }
    }
}

impl RedisClient {
    pub(crate) fn connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE + Duration::from_secs(5))).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream: BufReader::new(stream) })
    }

    /// Runs a command whose words have no spaces; an error is a failure of the test.
    #[track_caller]
    pub(crate) fn run(&mut self, command: &str) -> Reply {
        let words: Vec<_> = command.split_whitespace().collect();
        let reply = self.try_words(&words);
        match reply {
            Some(Reply::Error(error)) => panic!("{command}: {error}"),
            Some(reply) => reply,
            None => panic!("{command}: redis is gone"),
        }
    }

    /// As [`run`](Self::run); `None` when redis is gone.
    pub(crate) fn try_run(&mut self, command: &str) -> Option<Reply> {
        self.try_words(&command.split_whitespace().collect::<Vec<_>>())
    }

    fn try_words(&mut self, words: &[&str]) -> Option<Reply> {
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(bytes.as_bytes()).ok()?;
        self.reply()
    }

    fn reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let line = line.strip_suffix("\r\n")?;
        let (kind, rest) = line.split_at_checked(1)?;
        let number = || rest.parse::<i64>().expect("a number");
        Some(match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()),
            "$" | "*" if number() < 0 => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; usize::try_from(number()).expect("a length") + 2];
                self.stream.read_exact(&mut bytes).ok()?;
                bytes.truncate(bytes.len() - 2);
                Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            "*" => Reply::List((0..number()).map(|_| self.reply()).collect::<Option<_>>()?),
            other => panic!("redis says {other:?}{rest:?}"),
        })
    }
}
