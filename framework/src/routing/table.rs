//! The methods of one path.

use http::Method;

/// Which method leads where, and the `Allow` header that says so.
#[derive(Debug)]
pub(crate) struct MethodTable<T> {
    rows: Vec<(Method, T)>,
    allow: String,
}

impl<T> MethodTable<T> {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new(), allow: String::new() }
    }

    /// Fails when the method has a row already.
    pub(super) fn insert(&mut self, method: Method, target: T) -> Result<(), ()> {
        if self.row(&method).is_some() {
            return Err(());
        }
        self.rows.push((method, target));
        self.allow = self.list();
        Ok(())
    }

    /// `HEAD` is answered by the row of `GET` unless it has its own.
    pub(super) fn find(&self, method: &Method) -> Option<&T> {
        self.row(method).or_else(|| (*method == Method::HEAD).then(|| self.row(&Method::GET))?)
    }

    pub(super) fn allow(&self) -> &str {
        &self.allow
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Method, &T)> {
        self.rows.iter().map(|(method, target)| (method, target))
    }

    fn row(&self, method: &Method) -> Option<&T> {
        self.rows.iter().find(|(own, _)| own == method).map(|(_, target)| target)
    }

    /// The methods that are answered, in a fixed order; `OPTIONS` always is.
    fn list(&self) -> String {
        let mut names: Vec<&str> = self.rows.iter().map(|(method, _)| method.as_str()).collect();
        if self.row(&Method::GET).is_some() {
            names.push("HEAD");
        }
        names.push("OPTIONS");
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}
