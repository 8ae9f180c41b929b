//! The secret id of a session, the key a store knows it by, and its public handle.
//!
//! An id is 32 bytes of the operating system's random generator, or the successor of another id.
//! It is written only into `Set-Cookie`: neither `Debug` nor an error shows it.

#[cfg(test)]
mod tests;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::store::StoreKey;
use crate::error::{Error, ErrorKind, Result};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of an id in its cookie.
pub(crate) const ID_CHARS: usize = 43;

/// The secret that opens a session. It can be compared and hashed into a [`StoreKey`], no more.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionId([u8; 32]);

impl SessionId {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a cookie's value: exactly 43 characters of base64url in the one canonical spelling.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        decode_base64url(text).map(Self)
    }

    /// The value of the cookie. The only way out for the secret.
    pub(super) fn cookie_value(&self) -> String {
        encode_base64url(&self.0)
    }

    /// The id that follows this one in a renewal: everybody who holds this id and the nonce can
    /// compute it, the store alone (which has the nonce) cannot.
    pub(crate) fn successor(&self, nonce: &[u8; 32]) -> Result<Self> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .map_err(|error| Error::new(ErrorKind::Internal, "no key for HMAC").caused_by(error))?;
        Ok(Self(mac.chain_update(nonce).finalize().into_bytes().into()))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(secret)")
    }
}

/// Makes store keys of one application; keeps the hash of its name, so that two applications in
/// one store never accept each other's sessions.
#[derive(Clone)]
pub(crate) struct Keyring {
    sessions: Sha256,
    reserved: Sha256,
}

impl Keyring {
    /// `app` is `[app] name`, in which config.ini allows no control characters.
    pub(crate) fn new(app: &str) -> Self {
        Self {
            sessions: Sha256::new_with_prefix(app).chain_update([0]),
            reserved: Sha256::new_with_prefix(app).chain_update([1]),
        }
    }

    /// The key of a session: SHA-256(app name, 0, id).
    pub(crate) fn session(&self, id: &SessionId) -> StoreKey {
        StoreKey::from_bytes(self.sessions.clone().chain_update(id.0).finalize().into())
    }

    /// The key of a record that is no session (an index, an epoch): SHA-256(app name, 1, name).
    /// No id can lead to it.
    pub(crate) fn reserved(&self, name: &str) -> StoreKey {
        StoreKey::from_bytes(self.reserved.clone().chain_update(name).finalize().into())
    }

    /// Where the epoch of a user's sessions lies.
    pub(crate) fn user_epoch(&self, user: &str) -> StoreKey {
        self.reserved(&format!("epoch of\0{user}"))
    }

    /// Where the epoch of all bound sessions lies.
    pub(crate) fn everybodys_epoch(&self) -> StoreKey {
        self.reserved("epoch of everybody")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

/// The public name of a session, for lists of devices: 22 characters, unrelated to its secret id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle([u8; 16]);

impl Handle {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads a handle as [`fmt::Display`] writes it; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        decode_base64url(text.as_bytes()).map(Self)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_base64url(&self.0))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({self})")
    }
}

/// `N` bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, "no random bytes from the operating system")
            .caused_by(error)
    })?;
    Ok(bytes)
}

fn encode_base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three.iter_mut().zip(group).for_each(|(to, from)| *to = *from);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for position in 0..=group.len() {
            let digit = (bits >> (18 - 6 * position)) & 63;
            text.push(char::from(ALPHABET[digit as usize]));
        }
    }
    text
}

/// The `N` bytes of their unpadded spelling; only the canonical one, whose spare bits are zero.
fn decode_base64url<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(6) {
        return None;
    }
    let mut bytes = [0; N];
    let (mut seen, mut spare) = (0, 0);
    for (group, places) in text.chunks(4).zip(bytes.chunks_mut(3)) {
        let mut bits = 0;
        for (position, character) in group.iter().enumerate() {
            let digit = DIGITS[usize::from(*character)];
            seen |= digit;
            bits |= u32::from(digit) << (26 - 6 * position);
        }
        for (place, byte) in places.iter_mut().zip(bits.to_be_bytes()) {
            *place = byte;
        }
        spare = bits << (8 * places.len());
    }
    (seen & NO_DIGIT == 0 && spare == 0).then_some(bytes)
}

/// What is no digit has a bit that no digit has.
const NO_DIGIT: u8 = 0x80;

/// The value of each character.
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 64 {
        digits[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    digits
};
