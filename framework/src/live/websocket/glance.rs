//! For handlers that send and never wait for events: before it sends, a socket looks now and then
//! whether the client asked, closed or went, and whether the session has ended.

use std::collections::VecDeque;

use super::{Turn, WebSocket};
use crate::live::event::Event;
use crate::runtime::ticks;

/// So long after the last look there is another; between two looks a send costs nothing more.
const GLANCE_EVERY_MS: u64 = 100;
/// Frames looked at in one glance: a flood must not keep the handler from sending.
const MAX_FRAMES: usize = 64;

/// Messages that came before the handler asked for them. While they take as much room as the longest
/// message may, no more frames are read: then the client has to wait, with its pings as well.
#[derive(Debug, Default)]
pub(super) struct Early {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Early {
    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= room(&event);
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    fn push(&mut self, event: Event) {
        self.bytes += room(&event);
        self.events.push_back(event);
    }
}

fn room(event: &Event) -> usize {
    let payload = match event {
        Event::Text(text) => text.len(),
        Event::Binary(bytes) => bytes.len(),
        _ => 0,
    };
    payload + size_of::<Event>()
}

impl WebSocket {
    /// Answers pings, sees the client's close and the session's end, if nobody looked lately.
    pub(super) fn glance(&mut self) {
        let now_ms = ticks::now_ms();
        if self.has_ended || now_ms.saturating_sub(self.looked_ms) < GLANCE_EVERY_MS {
            return;
        }
        self.resume_message(now_ms);
        if let Some(close) = self.inbox.take_end(self.handed_ms) {
            self.end(close.code, close.reason);
        }
        self.frames.stream_mut().duplex.look_anew();
        for _ in 0..MAX_FRAMES {
            if self.has_ended || self.early.bytes >= self.max_early_bytes {
                break;
            }
            match self.take_frame() {
                Turn::Event(event) => self.early.push(event),
                Turn::Again => {}
                Turn::Nothing => break,
            }
        }
        self.looked_ms = ticks::now_ms();
    }
}
