//! Server-sent events: a clock that goes on where the client left off when it connects again.
//!
//! ```text
//! $ cargo run --bin 15_server_sent_events
//! $ curl -N localhost:8080/clock
//! event: tick
//! id: 1
//! data: tick 1
//!
//! event: tick
//! id: 2
//! data: tick 2
//! ^C
//! $ curl -N -H 'Last-Event-ID: 2' localhost:8080/clock
//! event: tick
//! id: 3
//! data: tick 3
//! ```
//!
//! In a page: `new EventSource("/clock").addEventListener("tick", e => show(e.data))`.

use std::time::Duration;

use maypole::live::SseEvent;
use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/clock", |ctx| {
        let last = ctx.last_event_id().and_then(|id| id.parse().ok()).unwrap_or(0_u32);
        ctx.sse(move |out| {
            for tick in last.saturating_add(1).. {
                let event = SseEvent::new(format!("tick {tick}"));
                out.send(event.event("tick").id(tick.to_string()))?;
                // Not `sleep`: this wait also ends when the client leaves or the server stops.
                if out.recv_timeout(Duration::from_secs(1))?.is_none() {
                    break;
                }
            }
            Ok(())
        })
    });
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
