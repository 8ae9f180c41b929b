//! What tests of applications and of stores need: a client without a port, a clock that is moved
//! by hand, the suite that proves a session store, and a store that goes wrong on purpose.

mod chaos;
mod client;
mod conformance;
mod jar;

pub use crate::clock::ManualClock;
#[doc(hidden)]
pub use crate::http::fuzz;
pub use chaos::{ChaosStore, Fault, StoreCall};
pub use client::{TestClient, TestRequest, TestResponse};
pub use conformance::store_conformance;
