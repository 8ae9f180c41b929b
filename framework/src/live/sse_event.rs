//! One server-sent event as text, by the WHATWG's HTML standard, section 9.2. Pure.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// An event to be [sent](super::EventStream::send).
///
/// ```
/// use maypole::live::SseEvent;
///
/// let event = SseEvent::new("two\nlines").id("7").event("news");
/// # let _ = event;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    data: Option<String>,
    event: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
}

impl SseEvent {
    /// An event with this data. It may have several lines; whatever ends them (CR, LF or both)
    /// arrives as LF. No text can end the event or add a field.
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// Tells the browser how long to wait before it connects again, and nothing else.
    #[must_use]
    pub fn retry_after(limit: Duration) -> Self {
        Self { retry: Some(limit), ..Self::default() }
    }

    /// The event's name: `addEventListener(name, ..)`, instead of `message`.
    #[must_use]
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.event = Some(name.into());
        self
    }

    /// Its id, which the client names when it connects again; see
    /// [`last_event_id`](crate::RequestContext::last_event_id). An empty one makes it forget.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How long the browser shall wait before it connects again.
    #[must_use]
    pub fn retry(mut self, limit: Duration) -> Self {
        self.retry = Some(limit);
        self
    }

    /// Writes the event as it is sent.
    pub(super) fn write(&self, out: &mut String) -> Result<()> {
        if let Some(event) = &self.event {
            field(out, "event", one_line(event, "name")?);
        }
        if let Some(id) = &self.id {
            field(out, "id", one_line(id, "id")?);
        }
        if let Some(retry) = self.retry {
            field(out, "retry", &retry.as_millis().to_string());
        }
        if let Some(data) = &self.data {
            lines(data).for_each(|line| field(out, "data", line));
        }
        out.push('\n');
        Ok(())
    }
}

impl From<&str> for SseEvent {
    fn from(data: &str) -> Self {
        Self::new(data)
    }
}

impl From<String> for SseEvent {
    fn from(data: String) -> Self {
        Self::new(data)
    }
}

/// The one space after the colon is not part of the value; without it a value's own would be lost.
fn field(out: &mut String, name: &str, value: &str) {
    out.extend([name, ": ", value, "\n"]);
}

/// A line break in a name or an id would begin another field; a browser ignores ids with NUL.
fn one_line<'a>(text: &'a str, what: &str) -> Result<&'a str> {
    if text.contains(['\r', '\n', '\0']) {
        let message = format!("the {what} of a server-sent event has a line break or NUL in it");
        return Err(Error::new(ErrorKind::Internal, message));
    }
    Ok(text)
}

/// The lines of a text, whether CR, LF or both end them; one more than there are ends.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, behind)) = text.split_once(['\r', '\n']) else {
            return rest.take();
        };
        let is_pair = text.as_bytes().get(line.len()) == Some(&b'\r');
        rest = Some(behind.strip_prefix('\n').filter(|_| is_pair).unwrap_or(behind));
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SseEvent;

    fn text(event: &SseEvent) -> String {
        let mut out = String::new();
        event.write(&mut out).unwrap();
        out
    }

    #[test]
    fn data_of_any_shape_stays_data() {
        for (data, expected) in [
            ("", "data: \n\n"),
            ("one", "data: one\n\n"),
            (" one", "data:  one\n\n"),
            ("one\ntwo", "data: one\ndata: two\n\n"),
            ("one\r\ntwo", "data: one\ndata: two\n\n"),
            ("one\rtwo", "data: one\ndata: two\n\n"),
            ("one\n", "data: one\ndata: \n\n"),
            ("one\r", "data: one\ndata: \n\n"),
            ("one\r\n", "data: one\ndata: \n\n"),
            ("one\n\rtwo", "data: one\ndata: \ndata: two\n\n"),
            ("\n\nevent: fake", "data: \ndata: \ndata: event: fake\n\n"),
            ("one\r\r\ntwo", "data: one\ndata: \ndata: two\n\n"),
            (":comment", "data: :comment\n\n"),
        ] {
            assert_eq!(text(&SseEvent::new(data)), expected, "{data:?}");
        }
    }

    #[test]
    fn fields_come_before_the_data() {
        let event = SseEvent::new("x").id("7").event("news").retry(Duration::from_secs(3));
        assert_eq!(text(&event), "event: news\nid: 7\nretry: 3000\ndata: x\n\n");
        assert_eq!(text(&SseEvent::retry_after(Duration::from_millis(5))), "retry: 5\n\n");
        assert_eq!(text(&SseEvent::new("x").id("")), "id: \ndata: x\n\n");
    }

    #[test]
    fn names_and_ids_cannot_bring_fields_of_their_own() {
        for bad in ["a\nb", "a\rb", "a\0b", "\n", "a\r\ndata: x"] {
            let mut out = String::new();
            assert!(SseEvent::new("x").id(bad).write(&mut out).is_err(), "{bad:?}");
            assert!(SseEvent::new("x").event(bad).write(&mut out).is_err(), "{bad:?}");
        }
    }
}
