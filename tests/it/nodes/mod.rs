//! Several maypole processes on one store: what one has acknowledged holds on all of them.

mod counting;
mod endings;
mod failover;
mod ids;
mod invalidation;
mod kills;
mod load;
mod locks;
mod model;
mod outages;
mod readme;
mod rounds;
mod soak;

/// A test of each function for each store that several processes can share.
macro_rules! on_every_backend {
    ($($name:ident)+) => {
        mod file {
            $(#[test] fn $name() { super::$name(crate::support::Backend::File); })+
        }
        crate::nodes::on_every_redis! { $($name)+ }
    };
}
use on_every_backend;

/// As [`on_every_backend`], for the stores that have a redis behind them.
macro_rules! on_every_redis {
    ($($name:ident)+) => {
        mod redis {
            $(#[test] fn $name() {
                if crate::support::is_installed("redis-server") {
                    super::$name(crate::support::Backend::Redis);
                }
            })+
        }
        mod tiered {
            $(#[test] fn $name() {
                if crate::support::is_installed("redis-server") {
                    super::$name(crate::support::Backend::Tiered);
                }
            })+
        }
    };
}
use on_every_redis;
