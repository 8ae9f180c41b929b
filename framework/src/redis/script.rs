//! A Lua script, known to servers by its hash.

use redis::Cmd;

/// A script and its hash. Make it once: hashing takes microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    /// The script `code`.
    pub(crate) fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// The command that runs a script the server knows; it answers `NoScript` if it does not.
    pub(crate) fn by_hash(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.hash, keys, args)
    }

    /// The command that runs the script and makes it known to the server.
    pub(crate) fn in_full(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVAL", self.code, keys, args)
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
