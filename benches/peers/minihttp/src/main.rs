//! Raw may_minihttp: no routing, no limits, no sessions. The yardstick for plain text.

use std::io;

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};

struct Hello;

impl HttpService for Hello {
    fn call(&mut self, _request: Request, response: &mut Response) -> io::Result<()> {
        response.header("Content-Type: text/plain; charset=utf-8").body("Hello, World!");
        Ok(())
    }
}

impl HttpServiceFactory for Hello {
    type Service = Self;

    fn new_service(&self, _connection: usize) -> Self {
        Self
    }
}

fn main() -> io::Result<()> {
    let port =
        std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: peer-minihttp PORT"))?;
    let server = Hello.start(format!("127.0.0.1:{port}"))?;
    server.join().map_err(|_| io::Error::other("the server panicked"))
}
