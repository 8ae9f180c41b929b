//! What those who watch a session are told. Pure.

/// A commit changed values of a session: by any tab, coroutine or node.
///
/// Several commits that were not told in time are told as one: with the keys of all of them and
/// the version of the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub(crate) version: u64,
    pub(crate) keys: Vec<String>,
    pub(crate) removed: Vec<String>,
}

impl Change {
    /// The version of the session with this change in it; a later change has a higher one, also
    /// after a change of id. It is what [`Session::version`](crate::Session::version) gives, and
    /// small enough for a number of JavaScript.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The keys whose values were set, changed or removed, sorted. Never empty: a commit that
    /// leaves all values of the application as they were is not told.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Those of the [`keys`](Self::keys) that are no more.
    #[must_use]
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    /// Whether the value under `key` was set, changed or removed.
    #[must_use]
    pub fn touches(&self, key: &str) -> bool {
        self.keys.iter().any(|changed| changed == key)
    }

    /// Whether it names every key that `older` names, so that it would [absorb](Self::absorb)
    /// nothing.
    pub(crate) fn tells_all_of(&self, older: &Self) -> bool {
        self.version >= older.version
            && older.keys.iter().all(|key| self.keys.binary_search(key).is_ok())
    }

    /// Makes this change tell what `older` told as well.
    pub(crate) fn absorb(&mut self, older: &Self) {
        let missing = |keys: &[String], of: &[String]| -> Vec<String> {
            of.iter().filter(|key| keys.binary_search(key).is_err()).cloned().collect()
        };
        // A key this change has set is there again, whatever the older one did.
        let removed = missing(&self.keys, &older.removed);
        self.removed.extend(removed);
        let keys = missing(&self.keys, &older.keys);
        self.keys.extend(keys);
        self.keys.sort_unstable();
        self.removed.sort_unstable();
        self.version = self.version.max(older.version);
    }
}

/// How a session ended for those who watch it.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// By `destroy` or `logout`, by `revoke` of its handle, or displaced by a newer login of its
    /// user.
    Destroyed,
    /// It got another id by `regenerate` or `login`; whoever held the old one learns nothing more.
    Replaced,
    /// All sessions of its user, all others, or everybody's were ended.
    Revoked,
    /// Nobody used it for its idle timeout, or it reached its absolute one.
    Expired,
    /// The store holds it no more, though its time was not over: dropped to make room, or deleted
    /// from outside.
    Evicted,
}

impl SessionEnd {
    /// A fixed phrase, for close frames and logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Destroyed => "session ended",
            Self::Replaced => "session replaced",
            Self::Revoked => "session revoked",
            Self::Expired => "session expired",
            Self::Evicted => "session evicted",
        }
    }
}

/// Who wants to know of a session. It is called with locks held and from destructors' threads: it
/// must neither wait nor yield.
pub(crate) trait Follower: Send + Sync + 'static {
    /// Whether changes are told, beside the end.
    fn wants_changes(&self) -> bool;

    /// Versions ascend from call to call.
    fn changed(&self, change: &std::sync::Arc<Change>);

    /// Nothing is told afterwards.
    fn ended(&self, end: SessionEnd);
}

#[cfg(test)]
mod tests {
    use super::Change;

    fn change(version: u64, keys: &[&str], removed: &[&str]) -> Change {
        let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        Change { version, keys: owned(keys), removed: owned(removed) }
    }

    #[test]
    fn what_was_not_told_in_time_is_told_as_one() {
        for (newer, older, expected) in [
            (change(2, &["a"], &[]), change(1, &["b"], &[]), change(2, &["a", "b"], &[])),
            (change(2, &["a"], &[]), change(1, &["a"], &["a"]), change(2, &["a"], &[])),
            (change(2, &["a"], &["a"]), change(1, &["a"], &[]), change(2, &["a"], &["a"])),
            (change(2, &["b"], &[]), change(1, &["a"], &["a"]), change(2, &["a", "b"], &["a"])),
        ] {
            let mut joined = newer.clone();
            joined.absorb(&older);
            assert_eq!(joined, expected, "{newer:?} after {older:?}");
            assert_eq!(newer.tells_all_of(&older), joined == newer, "{newer:?} after {older:?}");
        }
    }
}
