//! Create, update and patch: from a request to the object that is committed.
//!
//! The order is that of an API server: identity, patch, unknown fields and defaults, what the
//! door (whole object, status, scale) lets through, generation, ownership, validation, commit.
//! An update that changes nothing commits nothing. Not known here: deletion and its order.

use std::sync::Arc;

use serde_json::{Value, json};

use super::checks::{check_version, validate};
use super::{ApiStore, Context, FieldValidation, Target, not_found};
use crate::apply::{self, Writer};
use crate::defaults;
use crate::failure::{Failure, FieldError};
use crate::jsonpath;
use crate::object::{self, set, text};
use crate::patch::{Patch, patched};
use crate::resource::ResourceType;
use crate::schema;

/// The answer to a write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as stored, or as it would be after a dry run.
    pub object: Arc<Value>,
    /// True when it is new.
    pub created: bool,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

impl ApiStore {
    /// Creates an object.
    pub fn create(
        &mut self,
        target: &Target,
        body: Value,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        if !target.subresource.is_empty() {
            return Err(Failure::MethodNotAllowed);
        }
        let of = self.type_of(&target.of)?;
        let mut object = body;
        self.identify(&of, target, &mut object)?;
        let warnings = clean(&of, &mut object, context)?;
        object::remove(&mut object, &["metadata", "managedFields"]);
        let writer = writer(target, context);
        let mut fresh = self.newborn(&of, &object, context);
        apply::record_update(&Value::Null, &mut fresh, &of, &writer);
        let object = self.finish_create(&of, fresh, context)?;
        Ok(Written { object, created: true, warnings })
    }

    /// Replaces an object, or what its subresource covers.
    pub fn update(
        &mut self,
        target: &Target,
        body: Value,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        let of = self.type_of(&target.of)?;
        let live = self.find(target).cloned().ok_or_else(|| not_found(&of, &target.name))?;
        if target.subresource == "scale" {
            return self.scale(target, &of, &live, &body, context);
        }
        let mut object = body;
        self.identify(&of, target, &mut object)?;
        self.replace(target, &of, &live, object, context)
    }

    /// Changes an object by a patch; an apply creates it when it is absent.
    pub fn patch(
        &mut self,
        target: &Target,
        patch: &Patch,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        let of = self.type_of(&target.of)?;
        let live = self.find(target).cloned();
        match (patch, live) {
            (Patch::Apply { config, force }, live) => {
                self.apply(target, &of, live.as_ref(), config, *force, context)
            }
            (_, None) => Err(not_found(&of, &target.name)),
            (_, Some(live)) if target.subresource == "scale" => {
                let wished = patched(&scale_of(&of, &live)?, patch, &of)?;
                self.scale(target, &of, &live, &wished, context)
            }
            (_, Some(live)) => {
                let mut object = patched(&live, patch, &of)?;
                if object::name(&object) != target.name {
                    let text = "the name of the object may not be changed by a patch".to_owned();
                    return Err(Failure::BadRequest(text));
                }
                self.identify(&of, target, &mut object)?;
                self.replace(target, &of, &live, object, context)
            }
        }
    }

    fn apply(
        &mut self,
        target: &Target,
        of: &ResourceType,
        live: Option<&Arc<Value>>,
        config: &Value,
        force: bool,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        let mut config = config.clone();
        self.identify(of, target, &mut config)?;
        let warnings = unknown(of, &mut config, context)?;
        let writer = writer(target, context);
        let complete = |object: &mut Value| complete(of, object);
        if let Some(live) = live {
            check_version(of, &config, live)?;
            let config = only_through(&target.subresource, of, config);
            let object = apply::apply(live, &config, of, &writer, force, &complete)?;
            return self.commit_change(target, of, live, object, warnings, context);
        }
        if !target.subresource.is_empty() {
            return Err(not_found(of, &target.name));
        }
        if of.status {
            object::remove(&mut config, &["status"]);
        }
        let fresh = self.newborn(of, &config, context);
        let merged = apply::apply(&Value::Null, &config, of, &writer, force, &complete)?;
        let mut object = merged;
        object::copy(&fresh, &mut object, &["metadata", "uid"]);
        object::copy(&fresh, &mut object, &["metadata", "generation"]);
        object::copy(&fresh, &mut object, &["metadata", "creationTimestamp"]);
        let object = self.finish_create(of, object, context)?;
        Ok(Written { object, created: true, warnings })
    }

    /// A PUT or a patched object against the live one.
    fn replace(
        &mut self,
        target: &Target,
        of: &ResourceType,
        live: &Arc<Value>,
        mut object: Value,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        check_version(of, &object, live)?;
        let warnings = clean(of, &mut object, context)?;
        let mut object = restore(&target.subresource, of, live, object);
        apply::record_update(live, &mut object, of, &writer(target, context));
        self.commit_change(target, of, live, object, warnings, context)
    }

    /// Everything after ownership: generation, validation, commit, and the end of an object
    /// whose last finalizer has gone.
    fn commit_change(
        &mut self,
        target: &Target,
        of: &ResourceType,
        live: &Arc<Value>,
        object: Value,
        warnings: Vec<String>,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        let mut object = restore(&target.subresource, of, live, object);
        if object == **live {
            return Ok(Written { object: live.clone(), created: false, warnings });
        }
        if of.generation && wish_of(&object) != wish_of(live) {
            let generation = object::integer(live, &["metadata", "generation"]).unwrap_or(0) + 1;
            set(&mut object, &["metadata", "generation"], generation.into());
        }
        validate(of, &object, Some(live))?;
        if context.dry_run {
            return Ok(Written { object: Arc::new(object), created: false, warnings });
        }
        if of.kind == "CustomResourceDefinition"
            && target.subresource.is_empty()
            && let Some(status) = self.serve_crd(&object, context.now_ms)
        {
            set(&mut object, &["status"], status);
        }
        let ended = object::is_terminating(&object)
            && object::items(&object, &["metadata", "finalizers"]).is_empty()
            && object::integer(&object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0)
                == 0;
        let object = self.commit(&target.of, object);
        if ended {
            self.drop_object(&target.of, &target.namespace, &target.name);
        }
        Ok(Written { object, created: false, warnings })
    }

    fn finish_create(
        &mut self,
        of: &ResourceType,
        mut object: Value,
        context: &Context<'_>,
    ) -> Result<Arc<Value>, Failure> {
        let key = (object::namespace(&object).to_owned(), object::name(&object).to_owned());
        if self.objects.get(&of.id).is_some_and(|all| all.contains_key(&key)) {
            let resource = of.qualified_plural();
            return Err(Failure::AlreadyExists { resource, name: key.1 });
        }
        validate(of, &object, None)?;
        if context.dry_run {
            return Ok(Arc::new(object));
        }
        if of.kind == "CustomResourceDefinition"
            && let Some(status) = self.serve_crd(&object, context.now_ms)
        {
            set(&mut object, &["status"], status);
        }
        Ok(self.commit(&of.id, object))
    }

    /// Makes kind, version, name and namespace of a body agree with the address.
    fn identify(
        &mut self,
        of: &ResourceType,
        target: &Target,
        object: &mut Value,
    ) -> Result<(), Failure> {
        if !object.is_object() {
            return Err(Failure::BadRequest("the object provided is not a JSON object".into()));
        }
        for (field, wanted) in [("apiVersion", of.api_version()), ("kind", of.kind.clone())] {
            let given = text(object, &[field]);
            if !given.is_empty() && given != wanted {
                return Err(Failure::BadRequest(format!(
                    "the object provided has {field} {given:?}, and {wanted:?} was expected"
                )));
            }
            set(object, &[field], wanted.into());
        }
        let given = object::namespace(object);
        if !given.is_empty() && given != target.namespace {
            let text = "the namespace of the provided object does not match the namespace sent on \
                        the request";
            return Err(Failure::BadRequest(text.into()));
        }
        if of.namespaced {
            self.namespace_accepts(target)?;
            set(object, &["metadata", "namespace"], target.namespace.clone().into());
        }
        let given = object::name(object);
        if !target.name.is_empty() && !given.is_empty() && given != target.name {
            return Err(Failure::BadRequest(format!(
                "the name of the object ({given}) does not match the name on the URL ({})",
                target.name
            )));
        }
        if given.is_empty() {
            let generated = text(object, &["metadata", "generateName"]).to_owned();
            let name = match (target.name.as_str(), generated.as_str()) {
                ("", "") => return Err(nameless(of)),
                ("", prefix) => format!("{prefix}{}", self.next_suffix()),
                (name, _) => name.to_owned(),
            };
            set(object, &["metadata", "name"], name.into());
        }
        Ok(())
    }

    fn namespace_accepts(&self, target: &Target) -> Result<(), Failure> {
        let namespaces = crate::TypeId::new("", "namespaces");
        let home = Target::new(&namespaces, "", &target.namespace);
        let found = self.find(&home).ok_or_else(|| Failure::NotFound {
            resource: "namespaces".into(),
            name: target.namespace.clone(),
        })?;
        let new = self.find(target).is_none();
        if new && object::is_terminating(found) {
            return Err(Failure::Forbidden(format!(
                "unable to create new content in namespace {} because it is being terminated",
                target.namespace
            )));
        }
        Ok(())
    }

    /// The object with a fresh identity, and without a status that is not the client's to set.
    fn newborn(&mut self, of: &ResourceType, object: &Value, context: &Context<'_>) -> Value {
        let mut fresh = object.clone();
        let keeps_status = !of.status || of.kind == "CustomResourceDefinition";
        if !keeps_status {
            object::remove(&mut fresh, &["status"]);
        }
        if of.kind == "Pod" {
            set(&mut fresh, &["status", "phase"], "Pending".into());
        }
        if of.kind == "Namespace" {
            set(&mut fresh, &["status", "phase"], "Active".into());
        }
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
            object::remove(&mut fresh, &["metadata", field]);
        }
        let uid = self.next_uid();
        set(&mut fresh, &["metadata", "uid"], uid.into());
        let born = object::rfc3339(context.now_ms);
        set(&mut fresh, &["metadata", "creationTimestamp"], born.into());
        if of.generation {
            set(&mut fresh, &["metadata", "generation"], 1.into());
        }
        fresh
    }

    /// Writes the wished count of a `Scale` into the object.
    fn scale(
        &mut self,
        target: &Target,
        of: &ResourceType,
        live: &Arc<Value>,
        scale: &Value,
        context: &Context<'_>,
    ) -> Result<Written, Failure> {
        let paths = of.scale.as_ref().ok_or(Failure::NoSuchResource)?;
        check_version(of, scale, live)?;
        let replicas = object::integer(scale, &["spec", "replicas"]).unwrap_or(0);
        if replicas < 0 {
            let detail = "must be greater than or equal to 0";
            let error = FieldError::invalid("spec.replicas", &replicas.into(), detail);
            let kind = "Scale.autoscaling".into();
            return Err(Failure::Invalid { kind, name: target.name.clone(), errors: vec![error] });
        }
        let mut object = (**live).clone();
        set(&mut object, &jsonpath::keys(&paths.spec_replicas), replicas.into());
        apply::record_update(live, &mut object, of, &writer(target, context));
        let whole = target.through("");
        let mut written = self.commit_change(&whole, of, live, object, Vec::new(), context)?;
        written.object = Arc::new(scale_of(of, &written.object)?);
        Ok(written)
    }
}

/// The `Scale` that an object shows.
pub(super) fn scale_of(of: &ResourceType, object: &Value) -> Result<Value, Failure> {
    let paths = of.scale.as_ref().ok_or(Failure::NoSuchResource)?;
    let number = |path: &str| jsonpath::first(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": object::name(object), "namespace": object::namespace(object),
            "uid": object::uid(object),
            "resourceVersion": text(object, &["metadata", "resourceVersion"]),
            "creationTimestamp": text(object, &["metadata", "creationTimestamp"])},
        "spec": {"replicas": number(&paths.spec_replicas)},
        "status": {"replicas": number(&paths.status_replicas)},
    });
    let selector = jsonpath::first(object, &paths.selector).and_then(Value::as_str);
    if let Some(selector) = selector.filter(|_| !paths.selector.is_empty()) {
        set(&mut scale, &["status", "selector"], selector.into());
    }
    Ok(scale)
}

fn writer<'a>(target: &'a Target, context: &Context<'a>) -> Writer<'a> {
    Writer { manager: context.manager, subresource: &target.subresource, now_ms: context.now_ms }
}

fn nameless(of: &ResourceType) -> Failure {
    let error = FieldError {
        body: "Required value: name or generateName is required".into(),
        ..FieldError::required("metadata.name")
    };
    Failure::Invalid { kind: of.qualified_kind(), name: String::new(), errors: vec![error] }
}

/// Defaults of schema and kind.
fn complete(of: &ResourceType, object: &mut Value) {
    match &of.schema {
        Some(schema) if of.custom => schema::set_defaults(schema, object),
        _ => defaults::fill(&of.kind, object),
    }
}

/// Unknown fields and defaults of a whole body; returns warnings.
fn clean(
    of: &ResourceType,
    object: &mut Value,
    context: &Context<'_>,
) -> Result<Vec<String>, Failure> {
    let warnings = unknown(of, object, context)?;
    complete(of, object);
    Ok(warnings)
}

fn unknown(
    of: &ResourceType,
    object: &mut Value,
    context: &Context<'_>,
) -> Result<Vec<String>, Failure> {
    let Some(schema) = &of.schema else { return Ok(Vec::new()) };
    let found: Vec<String> = schema::unknown_fields(schema, object, true)
        .iter()
        .map(|field| format!("unknown field \"{field}\""))
        .collect();
    match context.field_validation {
        _ if found.is_empty() => Ok(found),
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(found),
        FieldValidation::Strict => Err(Failure::BadRequest(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            of.kind,
            of.version,
            of.kind,
            found.join(", ")
        ))),
    }
}

/// What an applied configuration may say through a door.
fn only_through(subresource: &str, of: &ResourceType, mut config: Value) -> Value {
    match subresource {
        "status" => {
            let mut only = json!({});
            for field in ["apiVersion", "kind", "status"] {
                object::copy(&config, &mut only, &[field]);
            }
            for field in ["name", "namespace"] {
                object::copy(&config, &mut only, &["metadata", field]);
            }
            only
        }
        _ => {
            if of.status {
                object::remove(&mut config, &["status"]);
            }
            config
        }
    }
}

/// The new object with everything from the live one that this door may not change.
fn restore(subresource: &str, of: &ResourceType, live: &Value, mut object: Value) -> Value {
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "generateName",
    ] {
        object::copy(live, &mut object, &["metadata", field]);
    }
    if subresource == "status" {
        let mut out = live.clone();
        object::copy(&object, &mut out, &["status"]);
        object::copy(&object, &mut out, &["metadata", "managedFields"]);
        return out;
    }
    if of.status {
        object::copy(live, &mut object, &["status"]);
    }
    object
}

/// What the generation counts: everything but metadata and status.
fn wish_of(object: &Value) -> Value {
    let mut wish = object.clone();
    for field in ["metadata", "status"] {
        object::remove(&mut wish, &[field]);
    }
    wish
}
