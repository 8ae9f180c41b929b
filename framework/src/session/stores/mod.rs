//! The stores that come with maypole. They keep bytes: none knows a cookie, a merge or a user.

mod file;
mod redis;
mod table;
mod tiered;

mod disk;
mod fsync;
mod millis;
mod private;
#[cfg(test)]
mod quota_tests;

pub use file::{FileStore, FileStoreOptions, FileUsage};
pub use fsync::Fsync;
pub use redis::{RedisStore, RedisStoreOptions};
pub use table::{TableOptions, TableStore, TableUsage};
pub use tiered::{TieredOptions, TieredStore, TieredUsage};

/// Creates the directory if need be and refuses one that is not for us alone; gives its absolute
/// path.
pub(crate) fn open_private_directory(path: &std::path::Path) -> crate::Result<std::path::PathBuf> {
    private::open(path, &[]).map(|(path, _)| path)
}
