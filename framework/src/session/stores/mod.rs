//! The stores that come with maypole. They keep bytes: none knows a cookie, a merge or a user.

mod file;
mod table;

mod disk;
mod fsync;
mod millis;
mod private;

pub use file::{FileStore, FileStoreOptions, FileUsage};
pub use fsync::Fsync;
pub use table::{TableOptions, TableStore, TableUsage};
