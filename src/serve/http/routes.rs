//! Routers with the list of their routes.
//!
//! Every API hands over its router together with the list of its routes, both made of the same declarations. So a test
//! can send a request to each route as each kind of caller, and no new route is forgotten (`tests/routes.rs`).

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
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
    /// What it serves; it answers every other request with an error.
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

/// An axum router, and the list of its routes.
pub(in crate::serve) struct Routes<S> {
    router: Router<S>,
    table: Vec<(&'static str, &'static str)>,
}

/// A method, for the router and for the list.
type RouteMethod = (MethodFilter, &'static str);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    pub(in crate::serve) fn new() -> Self {
        Self { router: Router::new(), table: Vec::new() }
    }

    /// Adds a route whose operation is called as its path is.
    pub(in crate::serve) fn on<T: 'static>(
        self,
        method: RouteMethod,
        path: &'static str,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.named(path, method, path, handler)
    }

    /// Adds a route. Metrics and logs call its operation by this name.
    pub(in crate::serve) fn named<T: 'static>(
        mut self,
        operation: &'static str,
        (filter, method): RouteMethod,
        path: &'static str,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.table.push((method, path));
        self.route(operation, filter, path, handler)
    }

    /// Adds a route whose last part, `{*name}`, may be empty or missing. The router matches such a part only if it holds
    /// something.
    pub(in crate::serve) fn named_below<T: 'static>(
        mut self,
        operation: &'static str,
        (filter, method): RouteMethod,
        path: &'static str,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.table.push((method, path));
        let folder = path.split("/{*").next().unwrap_or(path);
        self.route(operation, filter, folder, handler.clone())
            .route(operation, filter, &format!("{folder}/"), handler.clone())
            .route(operation, filter, path, handler)
    }

    fn route<T: 'static>(
        self,
        operation: &'static str,
        filter: MethodFilter,
        path: &str,
        handler: impl Handler<T, S>,
    ) -> Self {
        let name = map_request(move |request: Request| {
            RequestContext::of(request.extensions()).set_operation(operation);
            std::future::ready(request)
        });
        Self { router: self.router.route(path, on(filter, handler).layer(name)), ..self }
    }

    /// The router, finished by `finish`, with its routes.
    pub(in crate::serve) fn routed(self, finish: impl FnOnce(Router<S>) -> Router) -> Routed {
        Routed::new(finish(self.router), self.table)
    }
}

/// `GET`, and `HEAD` where no route has it.
pub(in crate::serve) const GET: RouteMethod = (MethodFilter::GET, "GET");
/// `HEAD` alone.
pub(in crate::serve) const HEAD: RouteMethod = (MethodFilter::HEAD, "HEAD");
/// `POST`.
pub(in crate::serve) const POST: RouteMethod = (MethodFilter::POST, "POST");
/// `PUT`.
pub(in crate::serve) const PUT: RouteMethod = (MethodFilter::PUT, "PUT");
/// `DELETE`.
pub(in crate::serve) const DELETE: RouteMethod = (MethodFilter::DELETE, "DELETE");
