//! From a pod's spec to a command, an environment and files.
//!
//! ConfigMaps and Secrets become files below the pod's folder, an emptyDir a folder there, a
//! claim a folder of its own that outlives the pod. Since a child shares our file system, mount
//! paths in arguments and in mounted text are replaced by the folders that stand for them. The
//! network has no namespaces either, so the node is told to bind to its pod's address alone.
//! Not known here: when it runs.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use holdfast_api_store::defaults::unbase64;
use holdfast_api_store::object::{self, items, text};
use holdfast_api_store::{ApiStore, Target, TypeId};
use serde_json::Value;

use super::Settings;

/// Why a container cannot be made yet, as the reason and message of its waiting state.
pub(super) type Obstacle = (&'static str, String);

/// A container ready to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) folder: PathBuf,
}

/// A file to be written before the start, or when its source changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountedFile {
    path: PathBuf,
    content: Vec<u8>,
    secret: bool,
}

/// Mount path in the container, folder that stands for it; longest path first.
type Mounts = Vec<(String, PathBuf)>;

/// Folder of everything that ends with the pod.
pub(super) fn pod_folder(settings: &Settings, pod: &Value) -> PathBuf {
    settings.folder.join("pods").join(object::uid(pod))
}

/// The command of a pod's container, or why there is none.
pub(super) fn command(
    store: &ApiStore,
    settings: &Settings,
    pod: &Value,
    container: &Value,
    address: Ipv4Addr,
) -> Result<Command, Obstacle> {
    let image = text(container, &["image"]);
    if !is_node_image(image) {
        let text = format!(
            "the embedded kubelet has no images; it runs the node itself for */holdfast/node and \
             */holdfast-node, and {image:?} is neither"
        );
        return Err(("ErrImagePull", text));
    }
    let mounts = mounts(store, settings, pod, container)?;
    let environment = environment(pod, container, address);
    let mut program = settings.node_program.iter();
    let first = program.next().cloned().unwrap_or_default();
    let mut arguments: Vec<String> =
        program.map(|part| part.to_string_lossy().into_owned()).collect();
    for argument in items(container, &["args"]).iter().filter_map(Value::as_str) {
        arguments.push(remount(&expand(argument, &environment), &mounts));
    }
    arguments.extend(["--bind".to_owned(), address.to_string()]);
    Ok(Command { program: first, arguments, environment, folder: pod_folder(settings, pod) })
}

fn is_node_image(image: &str) -> bool {
    let without_digest = image.split('@').next().unwrap_or("");
    let name = match without_digest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => without_digest,
    };
    name.ends_with("holdfast/node") || name.ends_with("holdfast-node")
}

fn mounts(
    store: &ApiStore,
    settings: &Settings,
    pod: &Value,
    container: &Value,
) -> Result<Mounts, Obstacle> {
    let mut mounts = Mounts::new();
    for mount in items(container, &["volumeMounts"]) {
        let name = text(mount, &["name"]);
        let volume = items(pod, &["spec", "volumes"])
            .iter()
            .find(|volume| text(volume, &["name"]) == name)
            .ok_or_else(|| {
                ("CreateContainerConfigError", format!("there is no volume {name:?}"))
            })?;
        let path = text(mount, &["mountPath"]).trim_end_matches('/').to_owned();
        mounts.push((path, volume_folder(store, settings, pod, volume)?));
    }
    mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    Ok(mounts)
}

/// Where a volume lies. A claim's folder goes by its volume, so that a claim which is deleted and
/// made again is empty.
fn volume_folder(
    store: &ApiStore,
    settings: &Settings,
    pod: &Value,
    volume: &Value,
) -> Result<PathBuf, Obstacle> {
    let claim = text(volume, &["persistentVolumeClaim", "claimName"]);
    if claim.is_empty() {
        return Ok(pod_folder(settings, pod).join("volumes").join(text(volume, &["name"])));
    }
    let found = find(store, pod, "persistentvolumeclaims", claim)?;
    match text(&found, &["spec", "volumeName"]) {
        "" => Err(("ContainerCreating", format!("persistentvolumeclaim {claim:?} is not bound"))),
        volume => Ok(claims_folder(settings).join(volume)),
    }
}

/// Folder of the claims' volumes.
fn claims_folder(settings: &Settings) -> PathBuf {
    settings.folder.join("volumes")
}

/// Removes the folders of volumes that no claim has any more, and that no pod may still use.
pub(super) fn reclaim(store: &ApiStore, settings: &Settings) -> std::io::Result<()> {
    let folder = claims_folder(settings);
    if !folder.exists() || store.all(&TypeId::new("", "pods")).any(lost_its_claim(store)) {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let claimed = store
            .all(&TypeId::new("", "persistentvolumeclaims"))
            .any(|claim| name == *text(claim, &["spec", "volumeName"]));
        if !claimed {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// True for a pod one of whose claims is gone: its process may still write to the volume.
fn lost_its_claim(store: &ApiStore) -> impl Fn(&std::sync::Arc<Value>) -> bool + '_ {
    |pod| {
        items(pod, &["spec", "volumes"])
            .iter()
            .map(|volume| text(volume, &["persistentVolumeClaim", "claimName"]))
            .any(|claim| {
                !claim.is_empty() && find(store, pod, "persistentvolumeclaims", claim).is_err()
            })
    }
}

fn environment(pod: &Value, container: &Value, address: Ipv4Addr) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for variable in items(container, &["env"]) {
        let field = text(variable, &["valueFrom", "fieldRef", "fieldPath"]);
        let value = match field {
            "" => expand(text(variable, &["value"]), &out),
            "status.podIP" => address.to_string(),
            path => {
                let keys: Vec<&str> = path.split('.').collect();
                text(pod, &keys).to_owned()
            }
        };
        out.push((text(variable, &["name"]).to_owned(), value));
    }
    out
}

/// Replaces `$(NAME)`; `$$(NAME)` and unknown names stay, as in Kubernetes.
fn expand(argument: &str, environment: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(literal) = rest.strip_prefix('$') {
            out.push('$');
            rest = literal;
            continue;
        }
        let named = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let found = named.and_then(|(name, after)| {
            environment.iter().find(|(known, _)| known == name).map(|(_, value)| (value, after))
        });
        match found {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out + rest
}

/// Replaces mount paths that stand as whole path prefixes.
fn remount(text: &str, mounts: &Mounts) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut inside_path = false;
    while let Some(next) = rest.chars().next() {
        let hit = mounts.iter().find_map(|(path, folder)| {
            let after = rest.strip_prefix(path.as_str())?;
            let ends = !after.starts_with(|c: char| c.is_alphanumeric() || "-_.".contains(c));
            (ends && !inside_path).then_some((folder, after))
        });
        if let Some((folder, after)) = hit {
            out.push_str(&folder.to_string_lossy());
            rest = after;
            inside_path = true;
        } else {
            out.push(next);
            inside_path = next.is_alphanumeric() || "-_./".contains(next);
            rest = rest.get(next.len_utf8()..).unwrap_or("");
        }
    }
    out
}

/// Every file that the container mounts, and every folder; or which source is missing.
pub(super) fn files(
    store: &ApiStore,
    settings: &Settings,
    pod: &Value,
    container: &Value,
) -> Result<(Vec<MountedFile>, Vec<PathBuf>), Obstacle> {
    let mounts = mounts(store, settings, pod, container)?;
    let (mut files, mut folders) = (Vec::new(), vec![pod_folder(settings, pod)]);
    for volume in items(pod, &["spec", "volumes"]) {
        let folder = volume_folder(store, settings, pod, volume)?;
        let map = text(volume, &["configMap", "name"]);
        let secret = text(volume, &["secret", "secretName"]);
        if !map.is_empty() {
            let found = find(store, pod, "configmaps", map)?;
            for (key, value) in entries(&found, "data") {
                let content = remount(value, &mounts).into_bytes();
                files.push(MountedFile { path: folder.join(key), content, secret: false });
            }
        } else if !secret.is_empty() {
            let found = find(store, pod, "secrets", secret)?;
            for (key, value) in entries(&found, "data") {
                let content = unbase64(value).unwrap_or_default();
                files.push(MountedFile { path: folder.join(key), content, secret: true });
            }
        }
        folders.push(folder);
    }
    Ok((files, folders))
}

fn entries<'a>(object: &'a Value, field: &str) -> Vec<(&'a str, &'a str)> {
    let map = object.get(field).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        // A key with a slash would leave the folder; the API allows none.
        .filter(|(key, _)| !key.contains('/'))
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect()
}

fn find(
    store: &ApiStore,
    pod: &Value,
    plural: &str,
    name: &str,
) -> Result<std::sync::Arc<Value>, Obstacle> {
    let target = Target::new(&TypeId::new("", plural), object::namespace(pod), name);
    store.get(&target).map_err(|e| ("ContainerCreating", e.to_string()))
}

/// Writes files and makes folders; a file that is as it should be is left alone, another is
/// replaced in one step.
pub(super) fn mount(files: &[MountedFile], folders: &[PathBuf]) -> std::io::Result<()> {
    for folder in folders {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    for file in files {
        if fs::read(&file.path).is_ok_and(|content| content == file.content) {
            continue;
        }
        let new = sibling(&file.path);
        let mode = if file.secret { 0o400 } else { 0o600 };
        // An interrupted earlier write may have left a file that may not be written to.
        let _ = fs::remove_file(&new);
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        out.write_all(&file.content)?;
        fs::rename(&new, &file.path)?;
    }
    Ok(())
}

fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    path.with_file_name(format!(".{}.new", name.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_in_kubernetes() {
        let environment = vec![("POD_IP".to_owned(), "127.10.0.1".to_owned())];
        let expand = |text| expand(text, &environment);
        assert_eq!(expand("--ip=$(POD_IP)."), "--ip=127.10.0.1.");
        assert_eq!(expand("$$(POD_IP) $(UNKNOWN) $5"), "$(POD_IP) $(UNKNOWN) $5");
    }

    #[test]
    fn mount_paths_are_replaced_only_where_they_stand_as_paths() {
        let mounts = vec![
            ("/etc/holdfast-secrets/a".to_owned(), PathBuf::from("/tmp/s")),
            ("/etc/holdfast".to_owned(), PathBuf::from("/tmp/c")),
            ("/data".to_owned(), PathBuf::from("/tmp/d")),
        ];
        let remount = |text| remount(text, &mounts);
        assert_eq!(remount("dir /data\nx \"/data/y\""), "dir /tmp/d\nx \"/tmp/d/y\"");
        assert_eq!(remount("/etc/holdfast/holdfast.conf"), "/tmp/c/holdfast.conf");
        assert_eq!(remount("/etc/holdfast-secrets/a/password"), "/tmp/s/password");
        assert_eq!(
            remount("/etc/holdfast-secrets/b /database /my/data"),
            "/etc/holdfast-secrets/b /database /my/data"
        );
    }

    #[test]
    fn only_the_nodes_image_runs() {
        for image in ["holdfast/node:1", "r.io:5000/x/holdfast-node@sha256:0", "holdfast/node"] {
            assert!(is_node_image(image), "{image}");
        }
        for image in ["redis:7", "holdfast/operator:1", "holdfast/node-x"] {
            assert!(!is_node_image(image), "{image}");
        }
    }
}
