//! The store: objects by type, namespace and name, and the one version counter.
//!
//! ```text
//!   create, update, patch -> write.rs (make the new object) -> commit (here)
//!   delete                -> delete.rs                       -> commit or drop (here)
//! ```
//!
//! Every change takes the next version, stamps it on the object and appends one event to the
//! log. Objects are shared and never changed in place, so that a reader keeps what it read.
//! Invariant: an object in the store has name, uid, creationTimestamp and resourceVersion.
//! Not known here: what a change is allowed to do (`write.rs`), and what follows from it
//! (`garbage.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::events;
use crate::failure::Failure;
use crate::object;
use crate::resource::{self, ResourceType, Rule, TypeId, Types};
use crate::selector::Selector;
use crate::watch::{Change, Log, WatchEvent};

mod checks;
mod delete;
mod snapshot;
mod write;

pub(crate) use delete::owner as owner_reference;
pub use delete::{DeleteOptions, Propagation};
pub use write::Written;

/// Which object a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Type of the object.
    pub of: TypeId,
    /// Namespace; empty for cluster-scoped types.
    pub namespace: String,
    /// Name; empty for a create.
    pub name: String,
    /// Empty, `status` or `scale`.
    pub subresource: String,
}

impl Target {
    /// A whole object.
    pub fn new(of: &TypeId, namespace: &str, name: &str) -> Self {
        Self {
            of: of.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
        }
    }

    /// The same object through a subresource.
    pub fn through(&self, subresource: &str) -> Self {
        Self { subresource: subresource.to_owned(), ..self.clone() }
    }
}

/// What to do with fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and warn.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// The circumstances of a write.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// Field manager.
    pub manager: &'a str,
    /// Answer as if, and change nothing.
    pub dry_run: bool,
    /// What unknown fields mean.
    pub field_validation: FieldValidation,
}

impl<'a> Context<'a> {
    /// A plain write by `manager`.
    pub fn new(now_ms: i64, manager: &'a str) -> Self {
        let field_validation = FieldValidation::default();
        Self { now_ms, manager, dry_run: false, field_validation }
    }
}

/// Which objects of a type.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Labels and fields to match.
    pub selector: Selector,
    /// Most objects in one answer; 0 is no limit.
    pub limit: usize,
    /// Where the previous answer ended; empty for the first page.
    pub continue_token: String,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Version to watch from.
    pub revision: u64,
    /// The objects, by namespace and name.
    pub items: Vec<Arc<Value>>,
    /// Token of the next page; empty on the last.
    pub continue_token: String,
    /// How many objects follow this page.
    pub remaining: usize,
}

type Objects = BTreeMap<(String, String), Arc<Value>>;

/// The embedded API's state and rules. See the crate's page.
#[derive(Debug, Clone)]
pub struct ApiStore {
    types: Types,
    rules: BTreeMap<String, Vec<Rule>>,
    objects: BTreeMap<TypeId, Objects>,
    revision: u64,
    random: u64,
    log: Log,
    garbage_due: bool,
}

impl ApiStore {
    /// An empty store that serves the built-in types; `seed` makes uids and generated names.
    pub fn new(seed: u64) -> Self {
        Self {
            types: resource::builtin(),
            rules: BTreeMap::new(),
            objects: BTreeMap::new(),
            revision: 1,
            random: seed,
            log: Log::default(),
            garbage_due: false,
        }
    }

    /// Gives a built-in type the schema by which unknown fields are found and explained.
    pub fn set_schema(&mut self, of: &TypeId, schema: Value) {
        if let Some(known) = self.types.get_mut(of) {
            let mut changed = (**known).clone();
            changed.schema = Some(Arc::new(schema));
            *known = Arc::new(changed);
        }
    }

    /// The rules that stand for the CEL expressions of a custom type, by the CRD's name
    /// (`redisclusters.holdfast.dev`). Give them before the CRD is created.
    pub fn set_rules(&mut self, crd_name: &str, rules: Vec<Rule>) {
        self.rules.insert(crd_name.to_owned(), rules);
    }

    /// The served types.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// A served type.
    pub fn type_of(&self, of: &TypeId) -> Result<Arc<ResourceType>, Failure> {
        self.types.get(of).cloned().ok_or(Failure::NoSuchResource)
    }

    /// The version of the last change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One object.
    pub fn get(&self, target: &Target) -> Result<Arc<Value>, Failure> {
        let of = self.type_of(&target.of)?;
        let object = self.find(target).cloned().ok_or_else(|| not_found(&of, &target.name))?;
        match target.subresource.as_str() {
            "" => Ok(object),
            "status" if of.status => Ok(object),
            "scale" => write::scale_of(&of, &object).map(Arc::new),
            _ => Err(Failure::NoSuchResource),
        }
    }

    /// The objects of a type, in one namespace or in all.
    pub fn list(
        &self,
        of: &TypeId,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<Listing, Failure> {
        self.type_of(of)?;
        let after = read_token(&options.continue_token)?;
        let revision = after.as_ref().map_or(self.revision, |(revision, _)| *revision);
        let mut items: Vec<Arc<Value>> = self
            .objects
            .get(of)
            .into_iter()
            .flatten()
            .filter(|((ns, _), _)| namespace.is_none_or(|wanted| wanted == ns))
            .filter(|(key, _)| after.as_ref().is_none_or(|(_, last)| *key > last))
            .filter(|(_, object)| options.selector.matches(object))
            .map(|(_, object)| object.clone())
            .collect();
        let mut page =
            Listing { revision, items: vec![], continue_token: String::new(), remaining: 0 };
        if options.limit > 0 && items.len() > options.limit {
            page.remaining = items.len() - options.limit;
            items.truncate(options.limit);
            if let Some(last) = items.last() {
                let (ns, name) = (object::namespace(last), object::name(last));
                page.continue_token = format!("{revision}/{ns}/{name}");
            }
        }
        page.items = items;
        Ok(page)
    }

    /// All objects of a type, without options.
    pub fn all(&self, of: &TypeId) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.get(of).into_iter().flat_map(BTreeMap::values)
    }

    /// Every object of every type.
    pub fn everything(&self) -> impl Iterator<Item = (&TypeId, &Arc<Value>)> {
        self.objects.iter().flat_map(|(of, objects)| objects.values().map(move |o| (of, o)))
    }

    /// What a watcher that has seen `revision` has missed.
    pub fn since(
        &self,
        of: &TypeId,
        namespace: Option<&str>,
        selector: &Selector,
        revision: u64,
    ) -> Result<Vec<WatchEvent>, Failure> {
        self.log.since(of, namespace, selector, revision)
    }

    pub(crate) fn find(&self, target: &Target) -> Option<&Arc<Value>> {
        let key = (target.namespace.clone(), target.name.clone());
        self.objects.get(&target.of).and_then(|objects| objects.get(&key))
    }

    /// Stores a new or changed object under the next version.
    fn commit(&mut self, of: &TypeId, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        let version = Value::from(self.revision.to_string());
        object::set(&mut object, &["metadata", "resourceVersion"], version);
        let key = (object::namespace(&object).to_owned(), object::name(&object).to_owned());
        let object = Arc::new(object);
        let before = self.objects.entry(of.clone()).or_default().insert(key, object.clone());
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        let revision = self.revision;
        self.log.push(WatchEvent {
            revision,
            of: of.clone(),
            change,
            object: object.clone(),
            before,
        });
        self.garbage_due |= !object::items(&object, &["metadata", "ownerReferences"]).is_empty()
            || object::is_terminating(&object);
        if events::is_mirrored(of) {
            self.commit(&events::mirror(), events::to_core(&object));
        }
        object
    }

    /// Removes an object; its last state goes to the watchers under the next version.
    pub(crate) fn drop_object(&mut self, of: &TypeId, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(gone) = self.objects.get_mut(of).and_then(|all| all.remove(&key)) else { return };
        self.revision += 1;
        let mut last = (*gone).clone();
        let version = Value::from(self.revision.to_string());
        object::set(&mut last, &["metadata", "resourceVersion"], version);
        self.log.push(WatchEvent {
            revision: self.revision,
            of: of.clone(),
            change: Change::Deleted,
            object: Arc::new(last),
            before: Some(gone),
        });
        self.garbage_due = true;
        if events::is_mirrored(of) {
            self.drop_object(&events::mirror(), namespace, name);
        }
        if of.plural == "customresourcedefinitions" {
            self.types.retain(|id, _| name != format!("{}.{}", id.plural, id.group));
        }
    }

    /// Serves the type that a CustomResourceDefinition describes; returns its status.
    fn serve_crd(&mut self, crd: &Value, now_ms: i64) -> Option<Value> {
        let rules = self.rules.get(object::name(crd)).cloned().unwrap_or_default();
        let of = ResourceType::from_crd(crd, rules)?;
        let condition = |kind: &str, reason: &str| {
            json!({"type": kind, "status": "True", "reason": reason, "message": "",
                "lastTransitionTime": object::rfc3339(now_ms)})
        };
        let mut names = crd.get("spec")?.get("names")?.clone();
        object::set(&mut names, &["singular"], of.singular.clone().into());
        let status = json!({
            "acceptedNames": names, "storedVersions": [of.version],
            "conditions": [condition("NamesAccepted", "NoConflicts"),
                condition("Established", "InitialNamesAccepted")],
        });
        self.types.insert(of.id.clone(), Arc::new(of));
        Some(status)
    }

    /// The next random number (splitmix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A random uid in the format of version 4.
    fn next_uid(&mut self) -> String {
        let (high, low) = (self.next_random(), self.next_random());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }

    /// Five characters for `generateName`, from Kubernetes' alphabet without vowels.
    fn next_suffix(&mut self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut random = self.next_random();
        (0..5)
            .filter_map(|_| {
                let at = (random % ALPHABET.len() as u64) as usize;
                random /= ALPHABET.len() as u64;
                ALPHABET.get(at).copied().map(char::from)
            })
            .collect()
    }
}

pub(crate) fn not_found(of: &ResourceType, name: &str) -> Failure {
    Failure::NotFound { resource: of.qualified_plural(), name: name.to_owned() }
}

/// Version of a list's first page, and the key that the page before this one ended with.
type PageMark = (u64, (String, String));

/// A later page is read from the current state, and its version is that of the first, so that a
/// watch from there misses nothing.
fn read_token(token: &str) -> Result<Option<PageMark>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    let mut parts = token.splitn(3, '/');
    let revision = parts.next().and_then(|part| part.parse().ok());
    match (revision, parts.next(), parts.next()) {
        (Some(revision), Some(namespace), Some(name)) => {
            Ok(Some((revision, (namespace.to_owned(), name.to_owned()))))
        }
        _ => Err(Failure::BadRequest("continue key is not valid".into())),
    }
}

#[cfg(test)]
mod tests;
