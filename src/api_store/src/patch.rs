//! Patches: from a live object and a patch to the wished object.
//!
//! Server-side apply is in `apply.rs`, strategic merge in `strategic.rs`. Not known here:
//! storage, validation, ownership.

use serde_json::Value;

use crate::failure::Failure;
use crate::resource::ResourceType;
use crate::strategic;

/// The body of a PATCH request, by its content type.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// `application/merge-patch+json` (RFC 7386).
    Merge(Value),
    /// `application/json-patch+json` (RFC 6902).
    Json(Value),
    /// `application/strategic-merge-patch+json`; built-in types only.
    Strategic(Value),
    /// `application/apply-patch+yaml`: a whole configuration.
    Apply {
        /// What the manager wants.
        config: Value,
        /// Take fields from other managers.
        force: bool,
    },
}

/// The live object changed by a merge, JSON or strategic patch.
pub fn patched(live: &Value, patch: &Patch, of: &ResourceType) -> Result<Value, Failure> {
    let mut object = live.clone();
    match patch {
        Patch::Merge(patch) => {
            if !patch.is_object() {
                return Err(Failure::BadRequest("a merge patch must be a JSON object".into()));
            }
            json_patch::merge(&mut object, patch);
        }
        Patch::Json(patch) => {
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|e| Failure::BadRequest(format!("error decoding patch: {e}")))?;
            json_patch::patch(&mut object, &operations)
                .map_err(|e| Failure::BadPatch(e.to_string()))?;
        }
        Patch::Strategic(patch) if of.custom => {
            let _ = patch;
            return Err(Failure::UnsupportedMediaType(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, \
                 application/apply-patch+yaml"
                    .into(),
            ));
        }
        Patch::Strategic(patch) => strategic::merge(&mut object, patch, of)?,
        Patch::Apply { .. } => {
            return Err(Failure::BadRequest("apply is not a patch of the live object".into()));
        }
    }
    Ok(object)
}
