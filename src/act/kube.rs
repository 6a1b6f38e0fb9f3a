//! Writes to the API server.
//!
//! Objects go by server-side apply with one field manager, at one call site, by force: what the
//! operator renders is its own, and everything that it does not name belongs to others. Deletions
//! carry the uid that was seen. What the API server answers is put on the shelf at once, so that
//! the next pass does not see the world as it was before our own write.
//! Not known here: whether a write is right.

use std::time::Duration;

use ::kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
    Preconditions,
};
use ::kube::core::GroupVersion;
use ::kube::{Api, Resource, ResourceExt};
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::effect::Deleted;
use super::{ActError, Effect};
use crate::api::{FIELD_MANAGER, LABEL_ROLE, RedisCluster};
use crate::observe::Seen;
use crate::observe::watch::{ClusterKey, Shelf};
use crate::resources::{Kind, SecretPurpose, secret};
use crate::validate::validate;
use crate::world::World;

/// Longest wait for one answer of the API server.
const API_DEADLINE: Duration = Duration::from_secs(5);

/// Random bytes in a password; it has twice as many characters.
const PASSWORD_BYTES: usize = 24;

pub(super) async fn perform(world: &World, seen: &Seen, effect: &Effect) -> Result<(), ActError> {
    let key = &seen.key;
    let what = || effect.in_prose();
    match effect {
        Effect::Apply(object) => {
            let resource = resource(object.kind.api_version(), object.kind.as_str());
            let applied =
                apply(world, key, &resource, &object.name, &object.manifest, None, &what).await?;
            shelve(world, key, object.kind, applied);
            Ok(())
        }
        Effect::Status(status) => {
            let manifest = serde_json::json!({
                "apiVersion": RedisCluster::api_version(&()),
                "kind": RedisCluster::kind(&()),
                "metadata": { "name": key.name, "uid": seen.object.uid() },
                "status": status,
            });
            let resource = ApiResource::erase::<RedisCluster>(&());
            let written =
                apply(world, key, &resource, &key.name, &manifest, Some("status"), &what).await?;
            put(&world.shelves.clusters, key, written);
            Ok(())
        }
        Effect::Label { pod, uid, role } => {
            let manifest = serde_json::json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": pod, "uid": uid, "labels": { LABEL_ROLE: role } },
            });
            let resource = ApiResource::erase::<Pod>(&());
            let labelled = apply(world, key, &resource, pod, &manifest, None, &what).await?;
            put(&world.shelves.pods, key, labelled);
            Ok(())
        }
        Effect::CreateSecret(purpose) => create_secret(world, seen, key, *purpose, &what).await,
        Effect::Delete { what: kind, name, uid } => {
            delete(world, key, *kind, name, uid, &what).await
        }
        Effect::Finalizers(names) => set_finalizers(world, seen, key, names, &what).await,
        Effect::Publish(note) => {
            within(&what, world.events.publish(&world.client, &seen.object, note)).await
        }
        Effect::Order(_) => Ok(()),
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let version = api_version.parse().unwrap_or_else(|_| GroupVersion::gv("", api_version));
    let gvk = GroupVersionKind::gvk(&version.group, &version.version, kind);
    let known = [
        Kind::ServiceAccount,
        Kind::Secret,
        Kind::ConfigMap,
        Kind::Service,
        Kind::PodDisruptionBudget,
        Kind::StatefulSet,
    ];
    let plural = known.into_iter().find(|k| k.as_str() == kind).map(Kind::plural);
    match plural {
        Some(plural) => ApiResource::from_gvk_with_plural(&gvk, plural),
        None => ApiResource::from_gvk(&gvk),
    }
}

/// The one call site of server-side apply.
async fn apply(
    world: &World,
    key: &ClusterKey,
    resource: &ApiResource,
    name: &str,
    manifest: &serde_json::Value,
    subresource: Option<&str>,
    what: &impl Fn() -> String,
) -> Result<DynamicObject, ActError> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &key.namespace, resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(manifest);
    match subresource {
        None => within(what, api.patch(name, &params, &patch)).await,
        Some(sub) => within(what, api.patch_subresource(sub, name, &params, &patch)).await,
    }
}

/// A Secret that exists is left alone: its password may be in use.
async fn create_secret(
    world: &World,
    seen: &Seen,
    key: &ClusterKey,
    purpose: SecretPurpose,
    what: &impl Fn() -> String,
) -> Result<(), ActError> {
    let Ok(cluster) = validate(&seen.object, &world.defaults) else {
        // Nothing is planned for an object that is not valid.
        return Ok(());
    };
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| ActError::NoRandomness { what: what(), reason: e.to_string() })?;
    let password = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let manifest = secret(&cluster, purpose, &password).manifest;
    let fresh: Secret = serde_json::from_value(manifest)
        .map_err(|e| api_error(what, ::kube::Error::SerdeError(e)))?;
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &key.namespace);
    let params =
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match within(what, api.create(&params, &fresh)).await {
        Ok(_) => Ok(()),
        Err(e) if code_of(&e) == Some(409) => Ok(()),
        Err(e) => Err(e),
    }
}

async fn delete(
    world: &World,
    key: &ClusterKey,
    kind: Deleted,
    name: &str,
    uid: &str,
    what: &impl Fn() -> String,
) -> Result<(), ActError> {
    let version = kind.api_version().parse().unwrap_or_else(|_| GroupVersion::gv("", "v1"));
    let gvk = GroupVersionKind::gvk(&version.group, &version.version, kind.kind());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &key.namespace, &resource);
    let the_one_seen = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams::background().preconditions(the_one_seen);
    match within(what, api.delete(name, &params)).await {
        Ok(_) => Ok(()),
        Err(e) if code_of(&e) == Some(404) => Ok(()),
        Err(e) => Err(e),
    }
}

/// A list of finalizers is written whole, so it carries the version that it was made from.
async fn set_finalizers(
    world: &World,
    seen: &Seen,
    key: &ClusterKey,
    names: &[String],
    what: &impl Fn() -> String,
) -> Result<(), ActError> {
    let api: Api<RedisCluster> = Api::namespaced(world.client.clone(), &key.namespace);
    let patch = serde_json::json!({
        "metadata": {
            "uid": seen.object.uid(),
            "resourceVersion": seen.object.resource_version(),
            "finalizers": names,
        },
    });
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    within(what, api.patch(&key.name, &params, &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Puts what was applied where the watch would have put it.
fn shelve(world: &World, key: &ClusterKey, kind: Kind, object: DynamicObject) {
    let shelves = &world.shelves;
    match kind {
        Kind::ServiceAccount => put(&shelves.accounts, key, object),
        Kind::ConfigMap => put(&shelves.config_maps, key, object),
        Kind::Service => put(&shelves.services, key, object),
        Kind::PodDisruptionBudget => put(&shelves.budgets, key, object),
        Kind::StatefulSet => put(&shelves.stateful_sets, key, object),
        Kind::Secret => {}
    }
}

fn put<K: ResourceExt + DeserializeOwned>(
    shelf: &Shelf<K>,
    key: &ClusterKey,
    object: DynamicObject,
) {
    // What cannot be read is left to the watch, which says so.
    if let Ok(typed) = object.try_parse::<K>() {
        shelf.put(key, typed);
    }
}

async fn within<T>(
    what: &impl Fn() -> String,
    call: impl Future<Output = ::kube::Result<T>>,
) -> Result<T, ActError> {
    match timeout(API_DEADLINE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(api_error(what, e)),
        Err(_) => Err(ActError::Deadline { what: what() }),
    }
}

fn api_error(what: &impl Fn() -> String, source: ::kube::Error) -> ActError {
    ActError::Api { what: what(), source: Box::new(source) }
}

fn code_of(e: &ActError) -> Option<u16> {
    match e {
        ActError::Api { source, .. } => match source.as_ref() {
            ::kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        _ => None,
    }
}
