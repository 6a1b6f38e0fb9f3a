//! From path and query to what is asked for.
//!
//! Not known here: methods and bodies.

use std::collections::BTreeMap;

use holdfast_api_store::resource::Types;
use holdfast_api_store::selector::Selector;
use holdfast_api_store::store::ListOptions;
use holdfast_api_store::{Context, Failure, FieldValidation, Target, TypeId};

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/<group>`.
    Group(String),
    /// `/api/v1`, `/apis/<group>/<version>`.
    Resources(String, String),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`.
    OpenApiV3,
    /// `/openapi/v3/...`: group and version.
    OpenApiV3Of(String, String),
    /// Objects of a type, in a namespace or in all.
    Collection(TypeId, Option<String>),
    /// One object.
    Object(Target),
}

/// Finds the route of a path; None for a path that nothing is served at.
pub(super) fn find(path: &str, types: &Types) -> Option<Route> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(Route::Version),
        ["healthz" | "livez" | "readyz", ..] => Some(Route::Health),
        ["openapi", "v2"] => Some(Route::OpenApiV2),
        ["openapi", "v3"] => Some(Route::OpenApiV3),
        ["openapi", "v3", "api", version] => {
            Some(Route::OpenApiV3Of(String::new(), (*version).to_owned()))
        }
        ["openapi", "v3", "apis", group, version] => {
            Some(Route::OpenApiV3Of((*group).to_owned(), (*version).to_owned()))
        }
        ["api"] => Some(Route::CoreVersions),
        ["apis"] => Some(Route::Groups),
        ["apis", group] => Some(Route::Group((*group).to_owned())),
        ["api", version] => Some(Route::Resources(String::new(), (*version).to_owned())),
        ["apis", group, version] => {
            Some(Route::Resources((*group).to_owned(), (*version).to_owned()))
        }
        ["api", version, rest @ ..] => resource("", version, rest, types),
        ["apis", group, version, rest @ ..] => resource(group, version, rest, types),
        _ => None,
    }
}

fn resource(group: &str, version: &str, rest: &[&str], types: &Types) -> Option<Route> {
    let namespace_itself =
        matches!(rest, ["namespaces", _] | ["namespaces", _, "status" | "finalize"]);
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !namespace_itself => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let (plural, rest) = rest.split_first()?;
    let of = types.get(&TypeId::new(group, plural)).filter(|of| of.version == version)?;
    if namespace.is_some() && !of.namespaced {
        return None;
    }
    let home = namespace.unwrap_or("");
    match rest {
        [] => Some(Route::Collection(of.id.clone(), namespace.map(str::to_owned))),
        [..] if of.namespaced && namespace.is_none() => None,
        [name] => Some(Route::Object(Target::new(&of.id, home, name))),
        [name, sub] => Some(Route::Object(Target::new(&of.id, home, name).through(sub))),
        _ => None,
    }
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self(pairs.collect())
    }

    /// Empty when absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Present and not false.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name).map(String::as_str), Some("true" | "1" | ""))
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    pub(super) fn selector(&self) -> Result<Selector, Failure> {
        Selector::parse(self.text("labelSelector"), self.text("fieldSelector"))
    }

    pub(super) fn list_options(&self) -> Result<ListOptions, Failure> {
        Ok(ListOptions {
            selector: self.selector()?,
            limit: self.number("limit").and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            continue_token: self.text("continue").to_owned(),
        })
    }

    /// The circumstances of a write; `client` stands in for a manager that is not named.
    pub(super) fn context<'a>(
        &'a self,
        now_ms: i64,
        client: &'a str,
    ) -> Result<Context<'a>, Failure> {
        let manager = match self.text("fieldManager") {
            "" => client,
            named => named,
        };
        let dry_run = match self.text("dryRun") {
            "" => false,
            "All" => true,
            other => {
                let text = format!("invalid dryRun value {other:?}: supported is \"All\"");
                return Err(Failure::BadRequest(text));
            }
        };
        let field_validation = match self.text("fieldValidation") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            "Warn" | "" => FieldValidation::Warn,
            other => {
                return Err(Failure::BadRequest(format!(
                    "invalid fieldValidation value {other:?}: supported are \"Ignore\", \
                     \"Strict\", \"Warn\""
                )));
            }
        };
        Ok(Context { now_ms, manager, dry_run, field_validation })
    }
}

/// Undoes percent-encoding; a broken escape stays as it is.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |c: Option<u8>| c.and_then(|c| char::from(c).to_digit(16));
                let mut ahead = bytes.clone();
                match (digit(ahead.next()), digit(ahead.next())) {
                    (Some(high), Some(low)) => {
                        out.push((high * 16 + low) as u8);
                        bytes = ahead;
                    }
                    _ => out.push(byte),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<Route> {
        find(path, &holdfast_api_store::resource::builtin())
    }

    #[test]
    fn paths_lead_to_collections_objects_and_subresources() {
        let pods = TypeId::new("", "pods");
        assert_eq!(found("/api/v1/pods"), Some(Route::Collection(pods.clone(), None)));
        let in_a = Route::Collection(pods.clone(), Some("a".into()));
        assert_eq!(found("/api/v1/namespaces/a/pods"), Some(in_a));
        let status = Target::new(&pods, "a", "p").through("status");
        assert_eq!(found("/api/v1/namespaces/a/pods/p/status"), Some(Route::Object(status)));
        let namespace = Target::new(&TypeId::new("", "namespaces"), "", "a");
        assert_eq!(found("/api/v1/namespaces/a"), Some(Route::Object(namespace)));
        for none in ["/api/v1/pods/p", "/api/v2/pods", "/apis/apps/v1/pods", "/nonsense"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch=1&limit=5&x=a+b&y=%zz");
        assert_eq!(query.text("labelSelector"), "a=b,c");
        assert!(query.flag("watch") && !query.flag("gone"));
        assert_eq!(query.number("limit"), Some(5));
        assert_eq!((query.text("x"), query.text("y")), ("a b", "%zz"));
    }
}
