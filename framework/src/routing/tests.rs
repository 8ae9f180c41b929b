use http::Method;

use super::{Found, RouteError, Router};

fn router(routes: &[(Method, &str)]) -> Result<Router<usize>, RouteError> {
    let mut router = Router::new();
    for (index, (method, pattern)) in routes.iter().enumerate() {
        router.insert(method.clone(), pattern, index)?;
    }
    Ok(router)
}

/// `3 id=7` for a route, `405 GET, ..` or `404` otherwise.
fn find(router: &Router<usize>, method: &Method, path: &str) -> String {
    match router.find(method, path) {
        Found::Route { target, params, .. } => {
            let params: String = params.iter().map(|(k, v)| format!(" {k}={v}")).collect();
            format!("{target}{params}")
        }
        Found::WrongMethod { allow } => format!("405 {allow}"),
        Found::Nothing => "404".to_owned(),
    }
}

#[test]
fn a_method_and_a_path_lead_to_one_route() {
    let routes = router(&[
        (Method::GET, "/"),
        (Method::GET, "/users/{id}"),
        (Method::POST, "/users/{id}"),
        (Method::GET, "/users/new"),
        (Method::GET, "/files/{*path}"),
        (Method::PUT, "/files/{*path}"),
    ])
    .unwrap();
    let cases = [
        (Method::GET, "/", "0"),
        (Method::HEAD, "/", "0"),
        (Method::POST, "/", "405 GET, HEAD, OPTIONS"),
        (Method::GET, "/users/7", "1 id=7"),
        (Method::POST, "/users/7", "2 id=7"),
        (Method::DELETE, "/users/7", "405 GET, HEAD, OPTIONS, POST"),
        (Method::GET, "/users/new", "3"),
        (Method::GET, "/users/", "404"),
        (Method::GET, "/users", "404"),
        (Method::GET, "/users/7/", "404"),
        (Method::GET, "/files/a/b/c", "4 path=a/b/c"),
        (Method::PUT, "/files/a", "5 path=a"),
        (Method::GET, "/nothing", "404"),
        (Method::GET, "*", "404"),
    ];
    for (method, path, expected) in cases {
        assert_eq!(find(&routes, &method, path), expected, "{method} {path}");
    }
}

#[test]
fn routes_that_cannot_be_told_apart_are_refused() {
    let cases: [(&[(Method, &str)], &str); 9] = [
        (
            &[(Method::GET, "/users/{id}"), (Method::GET, "/users/{name}")],
            r#"the route "/users/{name}" cannot be told apart from "/users/{id}""#,
        ),
        (
            &[(Method::GET, "/a"), (Method::GET, "/a")],
            r#"the route "/a" is registered twice for GET"#,
        ),
        (&[(Method::GET, "a")], r#"the route "a" must begin with a slash"#),
        (&[(Method::GET, "")], r#"the route "" must begin with a slash"#),
        (&[(Method::GET, "/{")], r#"the route "/{" is not valid: "#),
        (
            &[(Method::GET, "/users/:id/edit")],
            r#"the route "/users/:id/edit" names no parameter by ":id"; did you mean "{id}"?"#,
        ),
        (
            &[(Method::GET, "/users/<int:id>")],
            r#"the route "/users/<int:id>" names no parameter by "<int:id>"; did you mean "{id}"?"#,
        ),
        (
            &[(Method::GET, "/files/*path")],
            r#"the route "/files/*path" names no parameter by "*path"; did you mean "{*path}"?"#,
        ),
        (
            &[(Method::GET, "/files/*")],
            r#"the route "/files/*" names no parameter by "*"; did you mean "{*name}"?"#,
        ),
    ];
    for (routes, expected) in cases {
        let error = router(routes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
