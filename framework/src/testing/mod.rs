//! What tests of applications and of stores need: a client without a port, a clock that is moved
//! by hand, the suite that proves a session store, and a store that goes wrong on purpose.

mod chaos;
mod client;
mod conformance;
mod jar;
mod pipeline;
mod request;
mod response;

pub use crate::clock::ManualClock;
/// Entries for fuzzing; see `websocket` for the frames of WebSockets.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::http::fuzz::{chunked, cookie, entity_tag, forwarded, head, path, range};
    pub use crate::live::fuzz::websocket;
}
pub use chaos::{ChaosStore, Fault, StoreCall};
pub use client::TestClient;
pub use conformance::{store_conformance, store_quota_conformance};
pub use request::TestRequest;
pub use response::TestResponse;
