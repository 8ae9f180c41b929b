//! JSON in, JSON out, and state that all requests share.
//!
//! ```text
//! $ cargo run --bin 03_json
//! $ curl -i --json '{"text": "buy milk"}' localhost:8080/notes
//! HTTP/1.1 201 Created
//! {"id":1,"text":"buy milk"}
//! $ curl localhost:8080/notes
//! [{"id":1,"text":"buy milk"}]
//! $ curl --json '{"txt": 1}' localhost:8080/notes
//! the JSON cannot be read: missing field `text` at line 1 column 10
//! ```

use maypole::prelude::*;
use maypole::sync::Mutex;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

#[derive(Serialize, Clone)]
struct Note {
    id: usize,
    text: String,
}

/// A lock of maypole's parks the coroutine; one of std's would stop its whole worker thread.
#[derive(Default)]
struct Notes(Mutex<Vec<Note>>);

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.state(Notes::default());
    app.get("/notes", |ctx| Ok(Json(ctx.state::<Notes>()?.0.lock().clone())));
    app.post("/notes", |ctx| {
        let NewNote { text } = ctx.json()?; // 415, 400 or 422 with the reason, if it cannot be read
        let mut notes = ctx.state::<Notes>()?.0.lock();
        let note = Note { id: notes.len() + 1, text };
        notes.push(note.clone());
        Ok((StatusCode::CREATED, Json(note)))
    });
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
