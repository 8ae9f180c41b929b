//! What all requests of one app share: state, limits, who is trusted.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::{Client, ForwardedHeader, RequestHead, TrustedProxies, client};

/// One value per type.
#[derive(Default)]
pub(crate) struct TypeMap {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl TypeMap {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Box::new(value));
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl fmt::Debug for TypeMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeMap({})", self.values.len())
    }
}

/// Shared, read-only surroundings of every request of an app.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) state: TypeMap,
    pub(crate) max_body_bytes: u64,
    pub(crate) max_form_fields: usize,
    pub(crate) max_json_depth: usize,
    pub(crate) session_cookie: String,
    pub(crate) is_development: bool,
    pub(crate) proxies: TrustedProxies,
    pub(crate) forwarded: ForwardedHeader,
    pub(crate) request_ids: AtomicU64,
}

impl Environment {
    /// A number no other request of this process has, and that does not tell how many there were:
    /// an odd multiplier permutes the 64-bit numbers.
    pub(super) fn next_request_id(&self) -> u64 {
        self.request_ids.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn client(&self, head: &RequestHead, peer: IpAddr) -> Client {
        // This server speaks no TLS itself yet.
        client(peer, false, head, &self.proxies, self.forwarded)
    }
}
