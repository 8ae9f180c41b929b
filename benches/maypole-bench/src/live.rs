//! Connections that stay, for `benches/live`: sockets that only wait, sockets that follow a session
//! or a topic, and what makes news for them.

use std::time::{Duration, Instant};

use maypole::live::{Event, WebSocket};
use maypole::prelude::*;

pub(crate) fn routes(app: &mut App) {
    // The session that sockets follow must be there before them.
    app.get("/start", |ctx| {
        ctx.session.increment("n", 0)?;
        ctx.session.save()
    });
    app.get("/end", |ctx| ctx.session.logout());
    app.get("/echo", |ctx| ctx.websocket(echo));
    app.get("/follow", |ctx| ctx.websocket(follow));
    app.get("/topic/{name}", |ctx| {
        let topic = ctx.topic(ctx.param::<String>("name")?)?;
        ctx.websocket(move |ws| {
            ws.follow(topic)?;
            pass_on(ws)
        })
    });
    app.get("/subscribers/{name}", |ctx| {
        Ok(ctx.topic(ctx.param::<String>("name")?)?.subscribers().to_string())
    });
    app.get("/publish/{name}/{bytes}", |ctx| {
        let text = "x".repeat(ctx.param("bytes")?);
        Ok(ctx.topic(ctx.param::<String>("name")?)?.publish(text)?.to_string())
    });
    app.get("/publish-cost/{topics}", |ctx| cost(ctx, ctx.param("topics")?));
}

fn echo(ws: &mut WebSocket) -> maypole::Result<()> {
    while let Some(event) = ws.recv()? {
        if let Event::Text(text) = event {
            ws.send(text)?;
        }
    }
    Ok(())
}

/// As the live counter: tells the count after each change.
fn follow(ws: &mut WebSocket) -> maypole::Result<()> {
    ws.follow(session().changes()?)?;
    loop {
        ws.send(session().get_or("n", 0_i64)?.to_string())?;
        if ws.recv()?.is_none() {
            return Ok(());
        }
    }
}

fn pass_on(ws: &mut WebSocket) -> maypole::Result<()> {
    while let Some(event) = ws.recv()? {
        if let Event::Message(message) = event {
            ws.send(message.text())?;
        }
    }
    Ok(())
}

/// Nanoseconds per message to one subscriber while there are so many topics with one each.
fn cost(ctx: &RequestContext, count: usize) -> maypole::Result<String> {
    const MESSAGES: u32 = 100_000;
    let mut readers = Vec::new();
    for number in 0..count {
        readers.push(ctx.topic(format!("cost-{number}"))?.subscribe()?);
    }
    let topic = ctx.topic("cost-0")?;
    let Some(reader) = readers.first_mut() else { return Ok("0".to_owned()) };
    let begin = Instant::now();
    for _ in 0..MESSAGES {
        topic.publish("news")?;
        reader.next_timeout(Duration::from_secs(1));
    }
    Ok((begin.elapsed() / MESSAGES).as_nanos().to_string())
}
