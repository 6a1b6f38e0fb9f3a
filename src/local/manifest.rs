//! Manifests given on the command line: YAML with any number of documents.
//!
//! They are applied as `kubectl apply --server-side` would, under kubectl's name, so that a later
//! apply by hand finds its own fields. Not known here: progress.

use std::fs;
use std::path::{Path, PathBuf};

use holdfast_api_store::object::{self, text};
use holdfast_api_store::patch::Patch;
use holdfast_api_store::{Context, FieldValidation, Target};
use serde::Deserialize;
use serde_json::Value;

use super::LocalError;
use super::api::Api;

/// Applies every document of every file; returns their names.
pub fn apply(api: &Api, files: &[PathBuf]) -> Result<Vec<String>, LocalError> {
    let mut names = Vec::new();
    for file in files {
        for document in read(file)? {
            names.push(apply_one(api, file, &document)?);
        }
    }
    Ok(names)
}

fn read(file: &Path) -> Result<Vec<Value>, LocalError> {
    let fail = |what: String| LocalError::Manifest { file: file.to_owned(), what };
    let content = fs::read_to_string(file).map_err(|e| fail(e.to_string()))?;
    serde_norway::Deserializer::from_str(&content)
        .map(|document| Value::deserialize(document).map_err(|e| fail(e.to_string())))
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

fn apply_one(api: &Api, file: &Path, document: &Value) -> Result<String, LocalError> {
    let fail = |what: String| LocalError::Manifest { file: file.to_owned(), what };
    let (version, kind) = (text(document, &["apiVersion"]), text(document, &["kind"]));
    let of = api
        .read(|store| {
            let mut types = store.types().values();
            types.find(|of| of.kind == kind && of.api_version() == version).cloned()
        })
        .ok_or_else(|| fail(format!("no kind {kind:?} in version {version:?} is served")))?;
    let namespace = match (of.namespaced, object::namespace(document)) {
        (false, _) => "",
        (true, "") => "default",
        (true, named) => named,
    };
    let target = Target::new(&of.id, namespace, object::name(document));
    let patch = Patch::Apply { config: document.clone(), force: false };
    api.write(|store, now| {
        let context =
            Context { field_validation: FieldValidation::Strict, ..Context::new(now, "kubectl") };
        store.patch(&target, &patch, &context)
    })
    .map_err(|e| fail(e.to_string()))?;
    Ok(format!("{}/{}", of.id.plural, target.name))
}
