//! A chat: what somebody says is in all tabs of everybody at once, under the name their session
//! keeps. Who comes later reads the last lines first.
//!
//! ```text
//! $ cargo run --bin 17_chat
//! $ curl -s -L -c jar -b jar -d text=ada localhost:8080/name | head -1    # or open it in a browser
//! <!doctype html>
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use maypole::live::{Event, WebSocket, WebSocketOptions, topic};
use maypole::prelude::*;
use maypole::sync::Mutex;
use serde::Deserialize;

/// The last lines, as HTML. On several servers each keeps what was said on it; new lines reach all.
#[derive(Default)]
struct Room(Mutex<VecDeque<String>>);

const KEPT: usize = 50;

/// What the forms send.
#[derive(Deserialize)]
struct Said {
    text: String,
}

/// The routes of this example.
pub fn routes(app: &mut App) {
    let room = Arc::new(Room::default());
    let renames = Arc::clone(&room);
    app.get("/", |ctx| Ok(Html(if ctx.session.contains("name")? { CHAT } else { DOOR })));
    app.post("/name", move |ctx| {
        let Said { text: name } = ctx.form()?;
        if name.trim().is_empty() || name.len() > 40 {
            return Err(Error::with_status(StatusCode::BAD_REQUEST, "a name has 1 to 40 bytes"));
        }
        let before: Option<String> = ctx.session.get("name")?;
        ctx.session.set("name", &name)?;
        ctx.session.save()?; // tell only what is stored
        if let Some(before) = before {
            renames.say(&format!("<i>{} is now {}</i>", escape(&before), escape(&name)))?;
        }
        Ok(ctx.redirect("/"))
    });
    app.get("/room", move |ctx| {
        if !ctx.session.contains("name")? {
            return Err(Error::with_status(StatusCode::FORBIDDEN, "no name yet"));
        }
        let room = Arc::clone(&room);
        let options = WebSocketOptions::new().max_message_bytes(4096);
        ctx.websocket_with(&options, move |ws| room.chat(ws))
    });
    app.post("/leave", |ctx| {
        ctx.session.logout()?; // closes the sockets of all tabs with code 4401
        Ok(ctx.redirect("/"))
    });
    app.get("/htmx.js", |_ctx| script(include_str!("htmx/htmx.min.js")));
    app.get("/hx-ws.js", |_ctx| script(include_str!("htmx/hx-ws.min.js")));
}

impl Room {
    fn say(&self, line: &str) -> Result<()> {
        let line = format!("<li>{line}</li>");
        let mut lines = self.0.lock();
        topic("room")?.publish(line.as_str())?;
        lines.push_back(line);
        if lines.len() > KEPT {
            lines.pop_front();
        }
        Ok(())
    }

    fn chat(&self, ws: &mut WebSocket) -> Result<()> {
        ws.follow(session().changes()?)?;
        let lines = self.0.lock(); // nothing is said between the last lines and the next ones
        ws.follow(topic("room")?)?;
        let last: String = lines.iter().map(String::as_str).collect();
        drop(lines);
        ws.send(format!(r#"<ul id="lines" hx-swap-oob="true">{last}</ul>{}"#, name()?))?;
        while let Some(event) = ws.recv()? {
            match event {
                Event::Text(json) => {
                    let Ok(Said { text }) = serde_json::from_str(&json) else { continue };
                    let me: String = session().get_or("name", String::new())?;
                    self.say(&format!("<b>{}</b> {}", escape(&me), escape(&text)))?;
                }
                Event::Message(line) => ws.send(line.text())?,
                Event::Change(_) => ws.send(name()?)?, // a new one, from another tab
                _ => {}
            }
        }
        Ok(())
    }
}

fn name() -> Result<String> {
    let name: String = session().get_or("name", String::new())?;
    Ok(format!(r#"<b id="me" hx-swap-oob="true">{}</b>"#, escape(&name)))
}

/// What visitors wrote stays text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn script(text: &'static str) -> Result<Response> {
    Response::new(StatusCode::OK, text).header("content-type", "text/javascript")
}

const CHAT: &str = include_str!("17_chat.html");
const DOOR: &str = r#"<!doctype html><title>maypole: chat</title>
<form id="door" method="post" action="/name"><input name="text" placeholder="Your name" autofocus>
<button>Come in</button></form>"#;

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
