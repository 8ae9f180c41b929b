//! A Lua script, known to servers by its hash.

use std::sync::Arc;

use redis::Cmd;

/// A script and its hash; clones are cheap. Make it once: hashing takes microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    hash: Arc<str>,
    code: Arc<str>,
}

impl Script {
    /// The script `code`.
    pub(crate) fn new(code: &str) -> Self {
        let hash = redis::Script::new(code).get_hash().into();
        Self { hash, code: code.into() }
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The command that runs a script the server knows; it answers `NoScript` if it does not.
    pub(crate) fn by_hash(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.hash, keys, args)
    }

    /// The command that runs the script and makes it known to the server.
    pub(crate) fn in_full(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVAL", &self.code, keys, args)
    }
}

fn call(name: &str, script: &str, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for part in keys.iter().chain(args) {
        command.arg(*part);
    }
    command
}
