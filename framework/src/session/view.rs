//! A struct for those who prefer fields to keys.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::session::Session;
use crate::error::Result;

/// A struct that lives in the session under one key. Give new fields `#[serde(default)]`, or
/// sessions of before the change cannot be read as it any more.
pub trait SessionView: Serialize + DeserializeOwned + Default {
    /// The key it lives under.
    const KEY: &'static str;
}

/// One struct of a session, from [`Session::view`].
///
/// ```
/// use maypole::prelude::*;
/// use maypole::session::SessionView;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Cart {
///     articles: Vec<String>,
/// }
///
/// impl SessionView for Cart {
///     const KEY: &'static str = "cart";
/// }
///
/// fn add(ctx: &RequestContext) -> Result<String> {
///     let article: String = ctx.param("article")?;
///     let cart = ctx.session.view::<Cart>();
///     cart.update(move |cart| cart.articles.push(article.clone()))?; // no other tab's is lost
///     Ok(format!("{} articles", cart.get()?.articles.len()))
/// }
/// # let mut app = App::with_defaults();
/// # app.post("/add/{article}", add);
/// # let dir = std::env::temp_dir().join(format!("maypole-view-{}", std::process::id()));
/// # app.config_mut().session_file.path = dir.clone();
/// # let browser = app.test_client()?;
/// # assert_eq!(browser.post("/add/tea").send().text(), "1 articles");
/// # assert_eq!(browser.post("/add/milk").send().text(), "2 articles");
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), maypole::Error>(())
/// ```
pub struct View<T> {
    session: Session,
    view: PhantomData<fn() -> T>,
}

impl Session {
    /// The `T` of this session. Nothing is loaded before it is used.
    #[must_use]
    pub fn view<T: SessionView>(&self) -> View<T> {
        View { session: self.clone(), view: PhantomData }
    }
}

impl<T: SessionView> View<T> {
    /// The struct as it is, with this request's changes; the default if there is none.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub fn get(&self) -> Result<T> {
        Ok(self.session.get(T::KEY)?.unwrap_or_default())
    }

    /// Changes it, and gives the provisional result; see [`Session::update`], also for what
    /// `change` must not do.
    ///
    /// # Errors
    /// As [`Session::update`].
    pub fn update(&self, change: impl Fn(&mut T) + Send + 'static) -> Result<T> {
        self.session.update(T::KEY, change)
    }

    /// Puts a whole new one in place: of two requests at once the last commit wins.
    ///
    /// # Errors
    /// As [`Session::set`].
    pub fn set(&self, value: &T) -> Result<()> {
        self.session.set(T::KEY, value)
    }

    /// Takes it out of the stored session at once; see [`Session::take`].
    ///
    /// # Errors
    /// As [`Session::take`].
    pub fn take(&self) -> Result<Option<T>> {
        self.session.take(T::KEY)
    }

    /// Removes it.
    ///
    /// # Errors
    /// As [`Session::remove`].
    pub fn remove(&self) -> Result<()> {
        self.session.remove(T::KEY)
    }
}

impl<T> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}
