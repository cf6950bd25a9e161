//! Routers that can tell what is on them.
//!
//! Every door hands over its router together with the list of its routes, both made of the same declarations. So a test
//! can knock at each route as each kind of caller, and a new route cannot be forgotten (`tests/routes.rs`).

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::map_request;
use axum::routing::{MethodFilter, on};

use super::context::RequestContext;

/// A route of a listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where it is, `{name}` for a segment that varies, `{*name}` for all that are left; on the S3 listener, whose
    /// requests say in many ways what they want, the name of the operation.
    pub path: String,
    /// The method; `S3` for an operation.
    pub method: String,
}

/// A router and its routes.
pub struct Routed {
    /// Serves requests.
    pub router: Router,
    /// What it serves; all else is refused by it.
    pub routes: Vec<Route>,
}

impl Routed {
    /// A router that has these routes, as method and path.
    pub fn new<'r>(router: Router, table: impl IntoIterator<Item = (&'r str, &'r str)>) -> Self {
        let route = |(method, path): (&str, &str)| Route { path: path.to_owned(), method: method.to_owned() };
        Self { router, routes: table.into_iter().map(route).collect() }
    }

    /// With another below a path.
    #[must_use]
    pub fn nest(mut self, prefix: &str, inner: Self) -> Self {
        let below = |route: Route| Route { path: format!("{prefix}{}", route.path), ..route };
        self.routes.extend(inner.routes.into_iter().map(below));
        Self { router: self.router.nest(prefix, inner.router), ..self }
    }

    /// With the routes of another beside its own.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// With a layer over all of it.
    #[must_use]
    pub fn over(self, layer: impl FnOnce(Router) -> Router) -> Self {
        Self { router: layer(self.router), ..self }
    }
}

/// Collects routes as they are added to an axum router.
pub(in crate::serve) struct Collecting<S> {
    router: Router<S>,
    routes: Vec<(&'static str, &'static str)>,
}

impl<S: Clone + Send + Sync + 'static> Collecting<S> {
    /// No routes.
    pub(in crate::serve) fn new() -> Self {
        Self { router: Router::new(), routes: Vec::new() }
    }

    /// Adds a route. `GET` answers `HEAD` too.
    pub(in crate::serve) fn on<T: 'static>(
        mut self,
        (filter, method): (MethodFilter, &'static str),
        path: &'static str,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.routes.push((method, path));
        let name = map_request(move |request: Request| {
            RequestContext::of(request.extensions()).set_operation(path);
            std::future::ready(request)
        });
        Self { router: self.router.route(path, on(filter, handler).layer(name)), ..self }
    }

    /// The router, finished by `finish`, with its routes.
    pub(in crate::serve) fn routed(self, finish: impl FnOnce(Router<S>) -> Router) -> Routed {
        Routed::new(finish(self.router), self.routes)
    }
}

/// `GET`, and `HEAD`.
pub(in crate::serve) const GET: (MethodFilter, &str) = (MethodFilter::GET, "GET");
/// `HEAD` alone.
pub(in crate::serve) const HEAD: (MethodFilter, &str) = (MethodFilter::HEAD, "HEAD");
/// `POST`.
pub(in crate::serve) const POST: (MethodFilter, &str) = (MethodFilter::POST, "POST");

/// One row of a table of routes that a door looks through itself.
pub(in crate::serve) struct Row<T> {
    pub(in crate::serve) method: Method,
    pub(in crate::serve) pattern: &'static str,
    pub(in crate::serve) to: T,
}

/// The row that a request is for, and what stands in its path where the pattern varies: single segments, then what
/// `{*name}` stands for.
pub(in crate::serve) fn find<'t, 'p, T>(
    table: &'t [Row<T>],
    method: &Method,
    segments: &'p [&'p str],
) -> Option<(&'t Row<T>, Vec<&'p str>, &'p [&'p str])> {
    let mut rows = table.iter().filter(|row| row.method == *method);
    rows.find_map(|row| {
        let (mut varying, mut rest) = (Vec::new(), segments);
        for part in row.pattern.trim_start_matches('/').split('/') {
            if part.starts_with("{*") {
                return Some((row, varying, rest));
            }
            let (segment, others) = rest.split_first()?;
            match part.starts_with('{') {
                true => varying.push(*segment),
                false if part == *segment => {}
                false => return None,
            }
            rest = others;
        }
        rest.is_empty().then_some((row, varying, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_looked_through_by_method_and_segments() {
        let row = |method, pattern, to| Row { method, pattern, to };
        let table = [
            row(Method::GET, "/a/{x}", 1),
            row(Method::POST, "/a/{x}", 2),
            row(Method::GET, "/a/{x}/b/{*rest}", 3),
        ];
        let found = |method: Method, path: &'static str| {
            let segments: Vec<_> = path.split('/').collect();
            find(&table, &method, &segments)
                .map(|(row, varying, rest)| format!("{} {varying:?} {rest:?}", row.to))
        };
        assert_eq!(found(Method::GET, "a/k").unwrap(), "1 [\"k\"] []");
        assert_eq!(found(Method::POST, "a/k").unwrap(), "2 [\"k\"] []");
        assert_eq!(found(Method::GET, "a/k/b/c/d").unwrap(), "3 [\"k\"] [\"c\", \"d\"]");
        assert_eq!(found(Method::GET, "a/k/b").unwrap(), "3 [\"k\"] []");
        for nowhere in ["a", "b/k", "a/k/c"] {
            assert_eq!(found(Method::GET, nowhere), None, "{nowhere}");
        }
        assert_eq!(found(Method::PUT, "a/k"), None);
    }
}
