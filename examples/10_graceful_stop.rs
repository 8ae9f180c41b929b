//! SIGTERM or Ctrl-C: the port closes, idle connections end, requests in flight finish within
//! `[server] shutdown_grace`. A second signal ends at once.
//!
//! ```text
//! $ cargo run --bin 10_graceful_stop &
//! $ curl localhost:8080/slow &
//! $ kill -TERM %1
//! done, and nobody was cut off
//! ```

use std::time::Duration;

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/slow", |_ctx| {
        sleep(Duration::from_secs(2));
        "done, and nobody was cut off\n"
    });
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()?; // comes back when the last request is answered
    Ok(())
}
