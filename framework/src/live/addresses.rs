//! How many connections each client address keeps open, so that one cannot take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::sync::ShortLock;
use crate::session::network;

/// The open connections of each address that has any; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Arc<ShortLock<HashMap<IpAddr, usize>>>);

impl Addresses {
    /// Counts a connection of `addr`, until what it gives is dropped; `max` 0 counts nothing.
    pub(super) fn enter(&self, addr: IpAddr, max: usize) -> Result<Option<AddressPlace>> {
        if max == 0 {
            return Ok(None);
        }
        let addr = network(addr);
        let is_admitted = self.0.with(|open| {
            let count = open.entry(addr).or_default();
            let has_room = *count < max;
            *count += usize::from(has_room);
            has_room
        });
        if !is_admitted {
            let what = format!("{addr} has [websocket] max_open_per_address = {max} already");
            return Err(Error::new(ErrorKind::Overloaded, what));
        }
        Ok(Some(AddressPlace { addresses: self.clone(), addr }))
    }
}

/// Counts one connection of an address for as long as it lives.
#[derive(Debug)]
pub(super) struct AddressPlace {
    addresses: Addresses,
    addr: IpAddr,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        self.addresses.0.with(|open| match open.get_mut(&self.addr) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.addr);
            }
        });
    }
}
