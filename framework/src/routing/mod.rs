//! From a method and a path to a route. Patterns and their conflicts are `matchit`'s; the method
//! tables, `HEAD`, `OPTIONS` and `405` are ours. Pure: no request, no socket.

mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use http::Method;

pub(crate) use table::MethodTable;

/// Why a route cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteError {
    /// The pattern that was refused.
    pub pattern: String,
    /// The pattern it conflicts with, if that is the reason.
    pub conflicts_with: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the route {:?} {}", self.pattern, self.reason)?;
        match &self.conflicts_with {
            Some(other) => write!(f, " {other:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RouteError {}

/// All routes of an app; `T` is what a route leads to.
#[derive(Debug)]
pub(crate) struct Router<T> {
    tables: matchit::Router<usize>,
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    pattern: Arc<str>,
    methods: MethodTable<T>,
}

/// What a method and a path lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'r, 'p, T> {
    Route {
        target: &'r T,
        pattern: &'r Arc<str>,
        params: Vec<(&'r str, &'p str)>,
    },
    /// The path exists, the method does not; `allow` is the value of the header.
    WrongMethod {
        allow: &'r str,
    },
    Nothing,
}

impl<T> Router<T> {
    pub(crate) fn new() -> Self {
        Self { tables: matchit::Router::new(), entries: Vec::new() }
    }

    /// Adds a route; `/users/{id}` takes one segment, `/files/{*path}` the rest.
    pub(crate) fn insert(
        &mut self,
        method: Method,
        pattern: &str,
        target: T,
    ) -> Result<(), RouteError> {
        let refused = |conflicts_with: Option<String>, reason: &str| RouteError {
            pattern: pattern.to_owned(),
            conflicts_with,
            reason: reason.to_owned(),
        };
        if !pattern.starts_with('/') {
            return Err(refused(None, "must begin with a slash"));
        }
        if let Some(hint) = foreign_parameter(pattern) {
            return Err(refused(None, &hint));
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.pattern == *pattern) {
            let again = format!("is registered twice for {method}");
            return entry.methods.insert(method, target).map_err(|()| refused(None, &again));
        }
        self.tables.insert(pattern, self.entries.len()).map_err(|error| match error {
            matchit::InsertError::Conflict { with } => {
                refused(Some(with), "cannot be told apart from")
            }
            other => refused(None, &format!("is not valid: {other}")),
        })?;
        let mut methods = MethodTable::new();
        methods.insert(method, target).ok();
        self.entries.push(Entry { pattern: Arc::from(pattern), methods });
        Ok(())
    }

    pub(crate) fn find<'r, 'p>(&'r self, method: &Method, path: &'p str) -> Found<'r, 'p, T> {
        let Ok(matched) = self.tables.at(path) else { return Found::Nothing };
        let Some(entry) = self.entries.get(*matched.value) else { return Found::Nothing };
        match entry.methods.find(method) {
            Some(target) => Found::Route {
                target,
                pattern: &entry.pattern,
                params: matched.params.iter().collect(),
            },
            None => Found::WrongMethod { allow: entry.methods.allow() },
        }
    }

    /// All routes, in the order they were registered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Method, &str, &T)> {
        self.entries.iter().flat_map(|entry| {
            entry.methods.iter().map(|(method, target)| (method, &*entry.pattern, target))
        })
    }
}

/// What is wrong with a pattern in another framework's style, `/users/:id` or `/users/<int:id>`: here
/// it would be plain text, a route that no browser ever asks for.
fn foreign_parameter(pattern: &str) -> Option<String> {
    let segment = pattern.split('/').find(|segment| segment.starts_with([':', '*', '<']))?;
    let name = segment.trim_start_matches([':', '*', '<']).trim_end_matches('>');
    let name = name.rsplit(':').next().filter(|name| !name.is_empty()).unwrap_or("name");
    let meant = if segment.starts_with('*') || segment.starts_with("<path:") { "*" } else { "" };
    Some(format!("names no parameter by {segment:?}; did you mean \"{{{meant}{name}}}\"?"))
}
