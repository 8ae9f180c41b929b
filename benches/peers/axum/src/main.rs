//! axum with tower-sessions in memory. The plain route lies outside the session layer.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

type Answer = Result<String, StatusCode>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    let app = Router::new()
        .route("/read", get(read))
        .route("/bump", get(bump))
        .layer(sessions)
        .route("/", get(|| async { "Hello, World!" }));
    let port = std::env::args().nth(1).unwrap_or_default();
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, app).await
}

async fn read(session: Session) -> Answer {
    let n: i64 = session.get("n").await.map_err(failed)?.unwrap_or(0);
    Ok(n.to_string())
}

async fn bump(session: Session) -> Answer {
    let n: i64 = session.get("n").await.map_err(failed)?.unwrap_or(0) + 1;
    session.insert("n", n).await.map_err(failed)?;
    Ok(n.to_string())
}

fn failed(_: tower_sessions::session::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
