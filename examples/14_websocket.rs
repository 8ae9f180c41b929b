//! A WebSocket in blocking style: one loop, on the request's own coroutine, that waits for the
//! client and for whatever else it follows. Each client gets its own count; the session counts over
//! all of its tabs. Pages of other sites cannot connect: the origin is checked.
//!
//! ```text
//! $ cargo run --bin 14_websocket
//! $ node -e '
//!     const ws = new WebSocket("ws://localhost:8080/echo");
//!     ws.onopen = () => { ws.send("hello"); ws.send("bye") };
//!     ws.onmessage = ({ data }) => console.log(data);
//!     ws.onclose = ({ code, reason }) => console.log(code, reason);'
//! 1: hello
//! 2: bye
//! 1000 see you
//! $ curl -i localhost:8080/echo
//! HTTP/1.1 426 Upgrade Required
//! ```

use maypole::live::Event;
use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/echo", |ctx| {
        ctx.session.set("said", 0)?; // saved before the 101: its cookie comes with it
        ctx.websocket(|ws| {
            while let Some(event) = ws.recv()? {
                let Event::Text(text) = event else { continue };
                let said = session().increment("said", 1)?;
                session().save()?; // after the head only what is saved stays
                ws.send(format!("{said}: {text}"))?; // waits until the client takes it
                if text == "bye" {
                    ws.close(1000, "see you")?;
                }
            }
            Ok(()) // the client closed, vanished, or the server stops
        })
    });
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
