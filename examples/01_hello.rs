//! The smallest program: one route, one closure.
//!
//! ```text
//! $ cargo run --bin 01_hello
//! $ curl localhost:8080/
//! Hello
//! ```

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |_ctx| "Hello\n");
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
