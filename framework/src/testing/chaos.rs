//! A store that goes wrong on purpose.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::runtime;
use crate::runtime::sync::ShortLock;
use crate::session::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};

/// A method of a [`SessionStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StoreCall {
    /// [`SessionStore::load`].
    Load,
    /// [`SessionStore::swap`].
    Swap,
    /// [`SessionStore::touch`].
    Touch,
    /// [`SessionStore::remove`].
    Remove,
    /// [`SessionStore::sweep`].
    Sweep,
    /// [`SessionStore::list`].
    List,
    /// [`SessionStore::settle`].
    Settle,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is carried out after a wait that parks the coroutine.
    Delay(Duration),
    /// It is not carried out, and the caller does not know: [`StoreError::Unavailable`].
    FailBefore,
    /// It is carried out, and the caller does not know: [`StoreError::Unavailable`].
    FailAfter,
    /// It is not carried out, and the caller knows: [`StoreError::Refused`].
    Refuse,
    /// The store is full: [`StoreError::Full`]; nothing is carried out.
    Full,
    /// It panics before anything is carried out.
    PanicBefore,
    /// It is carried out, then it panics.
    PanicAfter,
}

/// A store that delays, fails and panics at chosen calls, around any store: for tests of how an
/// application stands a bad day. A clone is the same store, so keep one to give the orders.
///
/// ```
/// use maypole::prelude::*;
/// use maypole::testing::{ChaosStore, Fault, StoreCall};
/// # use maypole::session::stores::{FileStore, FileStoreOptions};
/// # let dir = std::env::temp_dir().join(format!("maypole-chaos-{}", std::process::id()));
/// # let my_store = FileStore::open(FileStoreOptions::new(&dir))?;
///
/// let store = ChaosStore::new(my_store);
/// let mut app = App::with_config(Config::parse("[session]\nbackend = chaos\n", "config.ini")?);
/// let chaos = store.clone();
/// app.session_store("chaos", move |_section| Ok(chaos));
/// app.get("/", |ctx| Ok(ctx.session.increment("visits", 1)?.to_string()));
/// let browser = app.test_client()?;
///
/// assert_eq!(browser.get("/").send().text(), "1");
/// store.always(StoreCall::Load, Some(Fault::FailBefore));
/// assert_eq!(browser.get("/").send().status(), 503);
/// store.always(StoreCall::Load, None);
/// assert_eq!(browser.get("/").send().text(), "2", "the cookie was left alone");
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct ChaosStore<S> {
    store: Arc<S>,
    plan: Arc<ShortLock<Plan>>,
}

#[derive(Default)]
struct Plan {
    always: BTreeMap<StoreCall, Fault>,
    orders: Vec<Order>,
    counts: BTreeMap<StoreCall, u64>,
}

/// What happens once, at the call with this number.
struct Order {
    call: StoreCall,
    number: u64,
    what: What,
}

type Action = Box<dyn FnOnce() + Send>;

enum What {
    Fault(Fault),
    Run(Action),
}

impl<S: SessionStore> ChaosStore<S> {
    /// Around `store`, as yet calm.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), plan: Arc::new(ShortLock::new(Plan::default())) }
    }

    /// The store within, which is always calm.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// The `nth` such call from now meets `fault`, once; 0 is the next one.
    pub fn at(&self, call: StoreCall, nth: u64, fault: Fault) {
        self.order(call, nth, What::Fault(fault));
    }

    /// Runs `action` before the `nth` such call from now, on the coroutine that calls: another
    /// request, say, that interleaves at exactly this point.
    pub fn before(&self, call: StoreCall, nth: u64, action: impl FnOnce() + Send + 'static) {
        self.order(call, nth, What::Run(Box::new(action)));
    }

    /// Every such call that has no order of its own meets `fault`, until told otherwise; `None` is
    /// calm again.
    pub fn always(&self, call: StoreCall, fault: Option<Fault>) {
        self.plan.with(|plan| match fault {
            Some(fault) => drop(plan.always.insert(call, fault)),
            None => drop(plan.always.remove(&call)),
        });
    }

    /// Forgets all orders: from now on nothing goes wrong.
    pub fn calm(&self) {
        self.plan.with(|plan| {
            plan.always.clear();
            plan.orders.clear();
        });
    }

    /// How many such calls there were.
    #[must_use]
    pub fn count(&self, call: StoreCall) -> u64 {
        self.plan.with(|plan| plan.counts.get(&call).copied().unwrap_or_default())
    }

    fn order(&self, call: StoreCall, nth: u64, what: What) {
        self.plan.with(|plan| {
            let number = plan.counts.get(&call).copied().unwrap_or_default() + nth;
            plan.orders.push(Order { call, number, what });
        });
    }

    fn call<T>(
        &self,
        call: StoreCall,
        carry_out: impl FnOnce(&S) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (fault, actions) = self.plan.with(|plan| plan.next(call));
        actions.into_iter().for_each(|action| action());
        match fault {
            None => carry_out(&self.store),
            Some(Fault::Delay(time)) => {
                runtime::sleep(time);
                carry_out(&self.store)
            }
            Some(Fault::FailBefore) => Err(StoreError::unavailable("chaos: not carried out")),
            Some(Fault::FailAfter) => {
                carry_out(&self.store).ok();
                Err(StoreError::unavailable("chaos: the answer is lost"))
            }
            Some(Fault::Refuse) => Err(StoreError::refused("chaos: refused")),
            Some(Fault::Full) => Err(StoreError::Full),
            Some(Fault::PanicBefore) => panics(),
            Some(Fault::PanicAfter) => {
                carry_out(&self.store).ok();
                panics()
            }
        }
    }
}

#[expect(clippy::panic, reason = "it is what the test asked for")]
fn panics() -> ! {
    panic!("chaos: the store panics")
}

impl Plan {
    fn next(&mut self, call: StoreCall) -> (Option<Fault>, Vec<Action>) {
        let count = self.counts.entry(call).or_default();
        let number = *count;
        *count += 1;
        let (mut fault, mut actions) = (self.always.get(&call).copied(), Vec::new());
        for order in
            self.orders.extract_if(.., |order| order.call == call && order.number == number)
        {
            match order.what {
                What::Fault(ordered) => fault = Some(ordered),
                What::Run(action) => actions.push(action),
            }
        }
        (fault, actions)
    }
}

impl<S: SessionStore> SessionStore for ChaosStore<S> {
    fn load(&self, key: &StoreKey, now: SystemTime) -> Result<Option<Stored>, StoreError> {
        self.call(StoreCall::Load, |store| store.load(key, now))
    }

    fn swap(
        &self,
        key: &StoreKey,
        expected: Expected,
        new: &Stored,
        now: SystemTime,
    ) -> Result<Swap, StoreError> {
        self.call(StoreCall::Swap, |store| store.swap(key, expected, new, now))
    }

    fn touch(
        &self,
        key: &StoreKey,
        version: u64,
        renewed: Renewed,
        now: SystemTime,
    ) -> Result<Touch, StoreError> {
        self.call(StoreCall::Touch, |store| store.touch(key, version, renewed, now))
    }

    fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.call(StoreCall::Remove, |store| store.remove(key))
    }

    fn sweep(&self, now: SystemTime, budget: usize) -> Result<Swept, StoreError> {
        self.call(StoreCall::Sweep, |store| store.sweep(now, budget))
    }

    fn list(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.call(StoreCall::List, |store| store.list(after, limit, now))
    }

    fn settle(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.call(StoreCall::Settle, |store| store.settle(key))
    }

    fn forget(&self, key: &StoreKey) {
        self.store.forget(key);
    }

    fn watch(&self, listener: Arc<dyn ChangeListener>) -> bool {
        self.store.watch(listener)
    }

    fn follow(&self, key: &StoreKey, is_followed: bool) {
        self.store.follow(key, is_followed);
    }
}

impl<S> Clone for ChaosStore<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), plan: Arc::clone(&self.plan) }
    }
}

impl<S> fmt::Debug for ChaosStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChaosStore")
    }
}
