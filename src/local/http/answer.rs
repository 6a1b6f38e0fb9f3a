//! From a request to a response.
//!
//! Not known here: connections, and how a watch goes on.

use std::sync::Arc;

use holdfast_api_store::{
    DeleteOptions, Failure, Propagation, Target, TypeId, discovery, object, openapi,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::media::{self, Shape};
use super::route::{self, Query, Route};
use super::{Body, Door, stream};
use crate::local::api::now_ms;
use crate::local::logs;

/// As etcd's limit on a request, with room for the patch around an object.
const BODY_BYTES_MAX: usize = 3 << 20;

type Answer = Result<Response<Body>, Failure>;

/// Answers a request; a failure becomes its Status object.
pub(super) async fn answer(door: &Door, request: Request<Incoming>) -> Response<Body> {
    match attempt(door, request).await {
        Ok(response) => response,
        Err(failure) => reply(failure.code(), &failure.to_status(), &[]),
    }
}

struct Asked<'a> {
    door: &'a Door,
    method: Method,
    query: Query,
    accept: String,
    content_type: String,
    client: String,
    body: Bytes,
}

async fn attempt(door: &Door, request: Request<Incoming>) -> Answer {
    let text = |name: header::HeaderName| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or("").to_owned()
    };
    if text(header::AUTHORIZATION) != format!("Bearer {}", door.token) {
        return Err(Failure::Unauthorized);
    }
    let path = request.uri().path().to_owned();
    let route =
        door.api.read(|store| route::find(&path, store.types())).ok_or(Failure::NoSuchResource)?;
    let agent = text(header::USER_AGENT);
    let mut asked = Asked {
        door,
        method: request.method().clone(),
        query: Query::parse(request.uri().query().unwrap_or("")),
        accept: text(header::ACCEPT),
        content_type: text(header::CONTENT_TYPE),
        client: agent
            .split(['/', ' '])
            .next()
            .filter(|c| !c.is_empty())
            .unwrap_or("unknown")
            .into(),
        body: Bytes::new(),
    };
    asked.body = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await
        .map_err(|e| Failure::BadRequest(format!("failed to read the body: {e}")))?
        .to_bytes();
    match route {
        Route::Collection(of, namespace) => asked.collection(&of, namespace),
        Route::Object(target) if target.subresource == "log" => asked.log(&target),
        Route::Object(target) => asked.object(&target),
        other if asked.method == Method::GET => asked.document(&other),
        _ => Err(Failure::MethodNotAllowed),
    }
}

impl Asked<'_> {
    fn document(&self, route: &Route) -> Answer {
        let aggregated = self.accept.contains("as=APIGroupDiscoveryList")
            && self.accept.contains("v=v2;") | self.accept.contains("v=v2,");
        let document = self.door.api.read(|store| {
            let types = store.types();
            match route {
                Route::Version => Some(version()),
                Route::CoreVersions if aggregated => Some(discovery::aggregated(types, true)),
                Route::Groups if aggregated => Some(discovery::aggregated(types, false)),
                Route::CoreVersions => Some(discovery::core_versions()),
                Route::Groups => Some(discovery::groups(types)),
                Route::Group(name) => discovery::one_group(types, name),
                Route::Resources(group, version) => discovery::resources(types, group, version),
                Route::OpenApiV2 => Some(openapi::v2(types)),
                Route::OpenApiV3 => Some(openapi::v3_index(types)),
                Route::OpenApiV3Of(group, version) => openapi::v3(types, group, version),
                Route::Health | Route::Collection(..) | Route::Object(_) => None,
            }
        });
        match (document, route) {
            (_, Route::Health) => Ok(plain("ok")),
            (Some(document), Route::CoreVersions | Route::Groups) if aggregated => {
                let mut response = reply(200, &document, &[]);
                let kind = header::HeaderValue::from_static(discovery::AGGREGATED);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                Ok(response)
            }
            (Some(document), _) => Ok(reply(200, &document, &[])),
            (None, _) => Err(Failure::NoSuchResource),
        }
    }

    fn shape(&self) -> Shape {
        Shape::accepted(&self.accept, self.query.text("includeObject"))
    }

    fn collection(&self, of: &TypeId, namespace: Option<String>) -> Answer {
        match self.method {
            Method::GET if self.query.flag("watch") => {
                let of = self.door.api.read(|store| store.type_of(of))?;
                let body = stream::start(&self.door.api, of, namespace, &self.query, self.shape())?;
                Ok(json_response(StatusCode::OK, body))
            }
            Method::GET => self.list(of, namespace.as_deref()),
            Method::POST => self.create(of, namespace.as_deref().unwrap_or("")),
            Method::DELETE => {
                let options = self.delete_options()?;
                let list = self.query.list_options()?;
                self.door.api.write(|store, now| {
                    let context = self.query.context(now, &self.client)?;
                    store.delete_collection(of, namespace.as_deref(), &list, &options, &context)
                })?;
                Ok(reply(200, &success(json!({})), &[]))
            }
            _ => Err(Failure::MethodNotAllowed),
        }
    }

    fn list(&self, of: &TypeId, namespace: Option<&str>) -> Answer {
        let options = self.query.list_options()?;
        let (of, page) = self.door.api.read(|store| {
            Ok::<_, Failure>((store.type_of(of)?, store.list(of, namespace, &options)?))
        })?;
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        if !page.continue_token.is_empty() {
            metadata["continue"] = page.continue_token.into();
            metadata["remainingItemCount"] = page.remaining.into();
        }
        Ok(reply(200, &self.shape().show_list(&of, &page.items, now_ms(), metadata), &[]))
    }

    fn create(&self, of: &TypeId, namespace: &str) -> Answer {
        let body = media::object(&self.content_type, &self.body)?;
        let target = Target::new(of, namespace, "");
        let (of, written) = self.door.api.write(|store, now| {
            let context = self.query.context(now, &self.client)?;
            Ok::<_, Failure>((store.type_of(of)?, store.create(&target, body, &context)?))
        })?;
        let shown = self.shape().show(&of, &written.object, now_ms(), true);
        Ok(reply(201, &shown, &written.warnings))
    }

    fn object(&self, target: &Target) -> Answer {
        match self.method {
            Method::GET => {
                let (of, found) = self.door.api.read(|store| {
                    Ok::<_, Failure>((store.type_of(&target.of)?, store.get(target)?))
                })?;
                Ok(reply(200, &self.show(&of, &found, target), &[]))
            }
            Method::PUT => {
                let body = media::object(&self.content_type, &self.body)?;
                self.written(target, |store, context| store.update(target, body, context))
            }
            Method::PATCH => {
                let force = self.query.flag("force");
                let patch = media::patch(&self.content_type, &self.body, force)?;
                self.written(target, |store, context| store.patch(target, &patch, context))
            }
            Method::DELETE => self.delete(target),
            _ => Err(Failure::MethodNotAllowed),
        }
    }

    /// A Scale has no columns of its own, so it is never a table of its parent's.
    fn show(
        &self,
        of: &holdfast_api_store::ResourceType,
        found: &Arc<Value>,
        target: &Target,
    ) -> Value {
        let shape = if target.subresource == "scale" { Shape::Whole } else { self.shape() };
        shape.show(of, found, now_ms(), true)
    }

    fn written(
        &self,
        target: &Target,
        write: impl FnOnce(
            &mut holdfast_api_store::ApiStore,
            &holdfast_api_store::Context<'_>,
        ) -> Result<holdfast_api_store::store::Written, Failure>,
    ) -> Answer {
        let (of, written) = self.door.api.write(|store, now| {
            let context = self.query.context(now, &self.client)?;
            Ok::<_, Failure>((store.type_of(&target.of)?, write(store, &context)?))
        })?;
        let code = if written.created { 201 } else { 200 };
        Ok(reply(code, &self.show(&of, &written.object, target), &written.warnings))
    }

    fn delete(&self, target: &Target) -> Answer {
        if !target.subresource.is_empty() {
            return Err(Failure::MethodNotAllowed);
        }
        let options = self.delete_options()?;
        let (of, last, stands) = self.door.api.write(|store, now| {
            let context = self.query.context(now, &self.client)?;
            let of = store.type_of(&target.of)?;
            let last = store.delete(target, &options, &context)?;
            Ok::<_, Failure>((of, last, store.get(target).is_ok()))
        })?;
        if stands {
            return Ok(reply(200, &last, &[]));
        }
        let details = json!({"name": target.name, "group": target.of.group,
            "kind": of.id.plural, "uid": object::uid(&last)});
        Ok(reply(200, &success(details), &[]))
    }

    /// Options come in the body, in the query, or in both.
    fn delete_options(&self) -> Result<DeleteOptions, Failure> {
        let body = if self.body.is_empty() {
            Value::Null
        } else {
            media::object(&self.content_type, &self.body)?
        };
        let in_query = self.query.text("propagationPolicy");
        let policy = if in_query.is_empty() {
            object::text(&body, &["propagationPolicy"])
        } else {
            in_query
        };
        let propagation = match policy {
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            "Background" | "" => Propagation::Background,
            other => {
                return Err(Failure::BadRequest(format!("invalid propagationPolicy {other:?}")));
            }
        };
        let in_query = self.query.number("gracePeriodSeconds");
        Ok(DeleteOptions {
            grace_seconds: in_query.or_else(|| object::integer(&body, &["gracePeriodSeconds"])),
            propagation,
            uid: object::text(&body, &["preconditions", "uid"]).to_owned(),
            resource_version: object::text(&body, &["preconditions", "resourceVersion"]).to_owned(),
        })
    }

    fn log(&self, target: &Target) -> Answer {
        let pod = self.door.api.read(|store| store.get(&target.through("")))?;
        let container = match self.query.text("container") {
            "" => object::items(&pod, &["spec", "containers"])
                .first()
                .map_or("", |container| object::text(container, &["name"])),
            named => named,
        };
        let tail = self.query.number("tailLines").and_then(|n| usize::try_from(n).ok());
        let file = logs::file(&self.door.logs, &pod, container, self.query.flag("previous"));
        let body = if self.query.flag("follow") {
            logs::follow(file, tail, self.door.api.clone(), target.through(""))
        } else {
            Full::new(logs::read(&file, tail).into()).boxed_unsync()
        };
        let mut response = Response::new(body);
        let kind = header::HeaderValue::from_static("text/plain");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Ok(response)
    }
}

fn version() -> Value {
    json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0+holdfast-local",
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": "linux/amd64"})
}

fn success(details: Value) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details})
}

fn json_response(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn plain(text: &'static str) -> Response<Body> {
    Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync())
}

fn reply(code: u16, document: &Value, warnings: &[String]) -> Response<Body> {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Full::new(Bytes::from(document.to_string())).boxed_unsync();
    let mut response = json_response(code, body);
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = header::HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}
