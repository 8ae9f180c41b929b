//! A real server within the test's process.

use std::net::SocketAddr;
use std::path::Path;

use maypole::Server;
use maypole::prelude::*;

use super::{Browser, Journal, PATIENCE, TempDir, Wire, wait_until};

/// A server on a port of its own with sessions in a directory of its own; both end with it.
#[derive(Debug)]
pub(crate) struct TestServer {
    server: Option<Server>,
    addr: SocketAddr,
    sessions: TempDir,
}

/// Starts a server with these routes and these lines of config.ini.
#[expect(clippy::large_stack_frames, reason = "on a test's own thread")]
pub(crate) fn serve(config: &str, routes: impl FnOnce(&mut App)) -> TestServer {
    Journal::open();
    let sessions = TempDir::new();
    let is_patient = !config.contains("header_timeout");
    let mut config = Config::parse(config, "test.ini").expect("the settings are valid");
    if is_patient {
        // On a busy machine a test may be slower than any client should be.
        config.server.header_timeout = 10 * PATIENCE;
    }
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.session_file.path = sessions.path().join("sessions");
    config.session_table.path = sessions.path().join("table");
    let mut app = App::with_config(config);
    app.get("/probe", |_ctx| "probe");
    routes(&mut app);
    let server = app.start().expect("the server starts");
    TestServer { addr: server.local_addr(), server: Some(server), sessions }
}

impl TestServer {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.addr)
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.addr)
    }

    /// Where the sessions lie.
    pub(crate) fn sessions(&self) -> &TempDir {
        &self.sessions
    }

    pub(crate) fn session_path(&self) -> &Path {
        self.sessions.path()
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }

    /// Waits until no connection is left: none may leak.
    pub(crate) fn expect_no_connections(&self) {
        // Connections are accepted in their order: those before this one are counted by now.
        assert_eq!(self.connect().get("/probe").text(), "probe");
        wait_until("all connections are closed", PATIENCE, || self.server().connections() == 0);
    }
}
