//! A `RedisCluster` as the API server gave it, read field by field.
//!
//! The API server checks objects by the definition that is installed there, which may be newer or
//! older than this operator. One that cannot be read is kept all the same, with its fault: its
//! status must be told, and must not be lost, since it carries the cluster's identity. Its spec is
//! a blank that nobody plans on.
//! Not known here: what is done about a fault.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::api::RedisCluster;
use crate::validate::InvalidSpec;

/// What came of reading an object.
#[derive(Debug)]
pub(super) struct Reading {
    /// The object; where there is a fault, with a blank for a spec.
    pub(super) object: RedisCluster,
    /// The field that cannot be read.
    pub(super) fault: Option<InvalidSpec>,
}

/// Reads an object.
///
/// # Errors
/// When not even its status can be read, so that nothing may be written to it.
pub(super) fn read(raw: DynamicObject) -> Result<Reading, String> {
    let mut value = serde_json::to_value(raw).map_err(|e| e.to_string())?;
    let error = match serde_path_to_error::deserialize::<_, RedisCluster>(&value) {
        Ok(object) => return Ok(Reading { object, fault: None }),
        Err(error) => error,
    };
    let fault =
        InvalidSpec { path: error.path().to_string(), message: error.into_inner().to_string() };
    if let Some(spec) = value.get_mut("spec") {
        *spec = json!({"shards": 1});
    }
    let object = serde_json::from_value(Value::clone(&value))
        .map_err(|_| format!("{}: {}", fault.path, fault.message))?;
    Ok(Reading { object, fault: Some(fault) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(spec: Value, status: Value) -> Result<Reading, String> {
        let object = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "RedisCluster",
            "metadata": {"name": "cache", "namespace": "db", "generation": 4},
            "spec": spec, "status": status,
        });
        read(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named_by_its_path_and_the_status_is_kept() {
        let spec = json!({"shards": 3, "persistence": {"mode": "tape"}});
        let reading = read_from(spec, json!({"clusterId": "id", "formed": true})).unwrap();
        assert_eq!(reading.fault.unwrap().path, "spec.persistence.mode");
        assert_eq!(reading.object.metadata.generation, Some(4));
        assert_eq!(reading.object.status.unwrap().cluster_id, "id");
    }

    #[test]
    fn an_object_without_faults_is_read_as_it_is() {
        let reading = read_from(json!({"shards": 3}), Value::Null).unwrap();
        assert!(reading.fault.is_none());
        assert_eq!(reading.object.spec.shards, 3);
    }

    #[test]
    fn an_object_whose_status_cannot_be_read_is_left_alone() {
        assert!(read_from(json!({"shards": 3}), json!({"formed": "maybe"})).is_err());
    }
}
