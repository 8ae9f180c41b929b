//! Networks of proxies whose word about the client is taken.

use std::net::IpAddr;

/// The addresses of the proxies in front of this server.
///
/// Headers like `X-Forwarded-For` are believed only from them; from anybody else they would let a
/// client choose its own address and scheme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies {
    networks: Vec<Network>,
}

/// `address/prefix`; IPv4 in its IPv4-mapped form, so that there is one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    bits: u128,
    prefix: u8,
}

impl TrustedProxies {
    /// Reads addresses and networks (`10.0.0.0/8, ::1`) separated by commas or white space.
    ///
    /// # Errors
    ///
    /// The first entry that is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let networks = entries
            .filter(|entry| !entry.is_empty())
            .map(|entry| Network::parse(entry).ok_or_else(|| entry.to_owned()))
            .collect::<Result<_, _>>()?;
        Ok(Self { networks })
    }

    /// Whether `address` is one of ours; an IPv4 address and its IPv6-mapped form are the same.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let bits = mapped(address);
        self.networks.iter().any(|network| mask(bits, network.prefix) == network.bits)
    }
}

impl Network {
    fn parse(entry: &str) -> Option<Self> {
        let (address, prefix) = match entry.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (entry, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (width, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = match prefix {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
            None => width,
        };
        if prefix > width {
            return None;
        }
        let prefix = prefix + offset;
        Some(Self { bits: mask(mapped(address), prefix), prefix })
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The first `prefix` bits; a shift by all 128 would overflow.
fn mask(bits: u128, prefix: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}
