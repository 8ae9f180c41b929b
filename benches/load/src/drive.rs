//! The run: all connections at once, then the check of every counter.

use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::answer::Answer;
use crate::connection::Connection;
use crate::jar::Jar;
use crate::options::{Bound, Options, Result, Sharing};

/// How long a server may leave every connection without an answer.
const STUCK: Duration = Duration::from_secs(20);

/// What a run has shown.
pub(crate) struct Report {
    requests: u64,
    refused: u64,
    seconds: f64,
    latencies_us: Vec<u32>,
    lost: Option<i64>,
}

/// Sends until the bound is reached, waits for every answer, then checks the counters.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut driver = Driver::new(options)?;
    driver.drive()?;
    let lost = options.check.as_deref().map(|path| driver.lost(path)).transpose()?;
    driver.latencies_us.sort_unstable();
    Ok(Report {
        requests: driver.done,
        refused: driver.refused,
        seconds: driver.seconds,
        latencies_us: driver.latencies_us,
        lost,
    })
}

struct Driver<'a> {
    options: &'a Options,
    jars: Vec<Jar>,
    poll: Poll,
    connections: Vec<Connection>,
    sent: u64,
    done: u64,
    refused: u64,
    seconds: f64,
    latencies_us: Vec<u32>,
}

impl<'a> Driver<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let jars = match options.sharing {
            Sharing::Own => options.connections,
            Sharing::None | Sharing::Shared => 1,
        };
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for number in 0..options.connections {
            let mut connection = Connection::open(options.addr)?;
            poll.registry().register(&mut connection.stream, Token(number), Interest::READABLE)?;
            connections.push(connection);
        }
        let jars = (0..jars).map(|_| Jar::new(options)).collect();
        let (sent, done, refused, seconds) = (0, 0, 0, 0.0);
        let latencies_us = Vec::with_capacity(1 << 20);
        Ok(Self { options, jars, poll, connections, sent, done, refused, seconds, latencies_us })
    }

    fn drive(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(256);
        let start = Instant::now();
        if self.options.sharing == Sharing::Shared {
            // One request alone makes the session all connections then share.
            self.send(0)?;
            self.wait_for(1, &mut events)?;
        }
        for number in 0..self.connections.len() {
            if self.may_send(start) {
                self.send(number)?;
            }
        }
        while self.done < self.sent {
            self.wait(&mut events)?;
            for event in &events {
                let Token(number) = event.token();
                if self.receive(number)? && self.may_send(start) {
                    self.send(number)?;
                }
            }
        }
        self.seconds = start.elapsed().as_secs_f64();
        Ok(())
    }

    fn wait_for(&mut self, done: u64, events: &mut Events) -> Result<()> {
        while self.done < done {
            self.wait(events)?;
            for event in events.iter() {
                self.receive(event.token().0)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> Result<()> {
        self.poll.poll(events, Some(STUCK))?;
        if events.is_empty() {
            return Err(format!("{} requests without an answer", self.sent - self.done).into());
        }
        Ok(())
    }

    fn may_send(&self, start: Instant) -> bool {
        match self.options.bound {
            Bound::Time(time) => start.elapsed() < time,
            Bound::Requests(requests) => self.sent < requests,
        }
    }

    fn jar_of(&self, connection: usize) -> usize {
        if self.options.sharing == Sharing::Own { connection } else { 0 }
    }

    fn send(&mut self, number: usize) -> Result<()> {
        let jar = self.jar_of(number);
        if let (Some(connection), Some(jar)) =
            (self.connections.get_mut(number), self.jars.get(jar))
        {
            connection.send(jar.request())?;
            self.sent += 1;
        }
        Ok(())
    }

    /// Whether an answer is complete, so that the connection is free.
    fn receive(&mut self, number: usize) -> Result<bool> {
        let jar = self.jar_of(number);
        let (Some(connection), Some(jar)) =
            (self.connections.get_mut(number), self.jars.get_mut(jar))
        else {
            return Ok(false);
        };
        if !connection.receive()? {
            return Err("the server closed a kept connection".into());
        }
        let Some(answer) = Answer::parse(&connection.received)? else { return Ok(false) };
        let sent_at = connection.sent_at.take().ok_or("an answer nobody asked for")?;
        let latency = u32::try_from(sent_at.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.latencies_us.push(latency);
        self.done += 1;
        if answer.status == 200 {
            jar.acknowledged += 1;
        } else {
            self.refused += 1;
        }
        if let Some(cookie) = answer.cookie.filter(|_| self.options.sharing != Sharing::None) {
            jar.keep(self.options, cookie);
        }
        let length = answer.length;
        connection.received.drain(..length);
        Ok(true)
    }

    /// Acknowledged bumps that the counters do not show, over all jars.
    fn lost(&mut self, path: &str) -> Result<i64> {
        let mut events = Events::with_capacity(16);
        let mut lost = 0;
        for number in 0..self.jars.len() {
            let Some(jar) = self.jars.get_mut(number) else { break };
            jar.prepare(self.options, path);
            let acknowledged = jar.acknowledged;
            self.send(number)?;
            lost += acknowledged - self.counter(number, &mut events)?;
        }
        Ok(lost)
    }

    fn counter(&mut self, number: usize, events: &mut Events) -> Result<i64> {
        let connection = self.connections.get_mut(number).ok_or("no such connection")?;
        loop {
            self.poll.poll(events, Some(STUCK))?;
            if events.is_empty() || !connection.receive()? {
                return Err("no answer to the check".into());
            }
            if let Some(answer) = Answer::parse(&connection.received)? {
                return Ok(answer.body.trim().parse()?);
            }
        }
    }
}

impl Report {
    /// One line for the runner; latencies in microseconds.
    pub(crate) fn to_json(&self) -> String {
        let lost = self.lost.map_or_else(|| "null".to_owned(), |lost| lost.to_string());
        format!(
            r#"{{"requests":{},"refused":{},"seconds":{:.6},"p50_us":{},"p99_us":{},"lost":{lost}}}"#,
            self.requests,
            self.refused,
            self.seconds,
            self.percentile(50),
            self.percentile(99),
        )
    }

    fn percentile(&self, percent: usize) -> u32 {
        let index = self.latencies_us.len().saturating_sub(1) * percent / 100;
        self.latencies_us.get(index).copied().unwrap_or(0)
    }
}
