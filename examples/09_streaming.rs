//! A body that is written piece by piece, and an upload that is read piece by piece: both in
//! blocking style, on the request's own coroutine.
//!
//! ```text
//! $ cargo run --bin 09_streaming
//! $ curl -N localhost:8080/countdown
//! 3
//! 2
//! 1
//! $ curl -T Cargo.toml localhost:8080/count-bytes
//! 1234 bytes
//! ```

use std::io::{Read, Write};
use std::time::Duration;

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/countdown", |_ctx| {
        Response::stream(|out| {
            for left in (1..=3).rev() {
                writeln!(out, "{left}")?; // an error: the client has gone
                out.flush()?;
                sleep(Duration::from_millis(100)); // parks this coroutine only
            }
            Ok(())
        })
    });
    app.put("/count-bytes", |ctx| {
        let mut body = ctx.body();
        let mut buffer = vec![0; 16 * 1024];
        let mut total = 0;
        loop {
            match body.read(&mut buffer)? {
                0 => return Ok(format!("{total} bytes\n")),
                count => total += count,
            }
        }
    })
    .body_limit(1024 * 1024 * 1024);
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
