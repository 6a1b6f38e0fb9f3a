//! How a request fails: the HTTP codes, reasons and texts that clients of Kubernetes know.
//!
//! The wording follows apimachinery's `api/errors` and `util/validation/field`, since scripts and
//! people match on it. Not known here: which rule was broken.

use serde_json::{Value, json};

/// One rejected field: the body of `path: body` and a machine-readable reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, `spec.shards` or `spec.users[0].name`.
    pub field: String,
    /// What is wrong, without the path.
    pub body: String,
    /// `FieldValueRequired` and the like.
    pub reason: &'static str,
}

impl FieldError {
    /// `Required value`.
    pub fn required(field: impl Into<String>) -> Self {
        Self { field: field.into(), body: "Required value".into(), reason: "FieldValueRequired" }
    }

    /// `Invalid value: 0: spec.shards in body should be ...`.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let field = field.into();
        let body = format!("Invalid value: {value}: {detail}");
        Self { field, body, reason: "FieldValueInvalid" }
    }

    /// `Invalid value: message`, where the value is a whole map and would only be noise.
    pub fn broken_rule(field: impl Into<String>, message: &str) -> Self {
        let body = format!("Invalid value: {message}");
        Self { field: field.into(), body, reason: "FieldValueInvalid" }
    }

    /// As [`FieldError::invalid`], with the reason that a wrong type has.
    pub fn wrong_type(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self { reason: "FieldValueTypeInvalid", ..Self::invalid(field, value, detail) }
    }

    /// `Unsupported value: "x": supported values: "a", "b"`.
    pub fn unsupported(field: impl Into<String>, value: &Value, allowed: &[Value]) -> Self {
        let listed: Vec<String> = allowed
            .iter()
            .map(|one| {
                one.as_str().map_or_else(|| format!("\"{one}\""), |text| format!("{text:?}"))
            })
            .collect();
        let body = format!("Unsupported value: {value}: supported values: {}", listed.join(", "));
        Self { field: field.into(), body, reason: "FieldValueNotSupported" }
    }

    /// `Too long: may not be more than 40 bytes`.
    pub fn too_long(field: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        let body = format!("Too long: may not be more than {max} {unit}");
        Self { field: field.into(), body, reason: "FieldValueTooLong" }
    }

    /// `Too many: 3: must have at most 2 items`.
    pub fn too_many(field: impl Into<String>, count: usize, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let body = format!("Too many: {count}: must have at most {max} {unit}");
        Self { field: field.into(), body, reason: "FieldValueTooMany" }
    }

    /// `Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let body = format!("Forbidden: {detail}");
        Self { field: field.into(), body, reason: "FieldValueForbidden" }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

/// A field that another field manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The other manager, as it is printed: `"kubectl" using v1`.
    pub manager: String,
    /// Path of the field, `.spec.shards`.
    pub field: String,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 404: no such object. `resource` is `redisclusters.holdfast.dev`.
    #[error("{resource} \"{name}\" not found")]
    NotFound {
        /// Qualified plural.
        resource: String,
        /// Name asked for.
        name: String,
    },
    /// 404: no such type or path.
    #[error("the server could not find the requested resource")]
    NoSuchResource,
    /// 409: the name is taken.
    #[error("{resource} \"{name}\" already exists")]
    AlreadyExists {
        /// Qualified plural.
        resource: String,
        /// Name that is taken.
        name: String,
    },
    /// 409: the object changed meanwhile, or a precondition does not hold.
    #[error("Operation cannot be fulfilled on {resource} \"{name}\": {message}")]
    Conflict {
        /// Qualified plural.
        resource: String,
        /// Name of the object.
        name: String,
        /// What differs.
        message: String,
    },
    /// 409: server-side apply would take fields from others.
    #[error("{}", apply_conflict_text(.0))]
    ApplyConflict(
        /// The fields in dispute.
        Vec<Ownership>,
    ),
    /// 422: the object is not valid. `kind` is `RedisCluster.holdfast.dev`.
    #[error("{}", invalid_text(kind, name, errors))]
    Invalid {
        /// Qualified kind.
        kind: String,
        /// Name of the object.
        name: String,
        /// Every field that is wrong.
        errors: Vec<FieldError>,
    },
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 401.
    #[error("Unauthorized")]
    Unauthorized,
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 405.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// 410: the history does not reach back that far.
    #[error("{0}")]
    Expired(String),
    /// 415.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 422: the patch itself makes no sense on this object.
    #[error("the server rejected our request due to an error in our request: {0}")]
    BadPatch(String),
}

impl Failure {
    /// HTTP status code.
    pub fn code(&self) -> u16 {
        self.code_and_reason().0
    }

    fn code_and_reason(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound { .. } | Self::NoSuchResource => (404, "NotFound"),
            Self::AlreadyExists { .. } => (409, "AlreadyExists"),
            Self::Conflict { .. } | Self::ApplyConflict(_) => (409, "Conflict"),
            Self::Invalid { .. } | Self::BadPatch(_) => (422, "Invalid"),
            Self::BadRequest(_) => (400, "BadRequest"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden(_) => (403, "Forbidden"),
            Self::MethodNotAllowed => (405, "MethodNotAllowed"),
            Self::Expired(_) => (410, "Expired"),
            Self::UnsupportedMediaType(_) => (415, "UnsupportedMediaType"),
        }
    }

    /// The `Status` object that carries this failure to the client.
    pub fn to_status(&self) -> Value {
        let (code, reason) = self.code_and_reason();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "reason": reason, "code": code,
        });
        if let Some(details) = self.details() {
            status["details"] = details;
        }
        status
    }

    fn details(&self) -> Option<Value> {
        let qualified = |resource: &str, name: &str| {
            let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
            json!({"name": name, "group": group, "kind": kind})
        };
        match self {
            Self::NotFound { resource, name }
            | Self::AlreadyExists { resource, name }
            | Self::Conflict { resource, name, .. } => Some(qualified(resource, name)),
            Self::Invalid { kind, name, errors } => {
                let causes: Vec<Value> = errors
                    .iter()
                    .map(|e| json!({"reason": e.reason, "message": e.body, "field": e.field}))
                    .collect();
                let mut details = qualified(kind, name);
                details["causes"] = causes.into();
                Some(details)
            }
            Self::ApplyConflict(disputes) => {
                let cause = |dispute: &Ownership| {
                    json!({
                        "reason": "FieldManagerConflict", "field": dispute.field,
                        "message": format!("conflict with {}", dispute.manager),
                    })
                };
                Some(json!({"causes": disputes.iter().map(cause).collect::<Vec<_>>()}))
            }
            _ => None,
        }
    }
}

fn invalid_text(kind: &str, name: &str, errors: &[FieldError]) -> String {
    match errors {
        [one] => format!("{kind} \"{name}\" is invalid: {one}"),
        many => {
            let all: Vec<String> = many.iter().map(FieldError::to_string).collect();
            format!("{kind} \"{name}\" is invalid: [{}]", all.join(", "))
        }
    }
}

fn apply_conflict_text(disputes: &[Ownership]) -> String {
    if let [one] = disputes {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.manager, one.field
        );
    }
    let mut managers: Vec<&str> = disputes.iter().map(|one| one.manager.as_str()).collect();
    managers.sort_unstable();
    managers.dedup();
    let mut lines = Vec::new();
    for manager in managers {
        lines.push(format!("conflicts with {manager}:"));
        let theirs = disputes.iter().filter(|one| one.manager == manager);
        lines.extend(theirs.map(|one| format!("- {}", one.field)));
    }
    format!("Apply failed with {} conflicts: {}", disputes.len(), lines.join("\n"))
}
