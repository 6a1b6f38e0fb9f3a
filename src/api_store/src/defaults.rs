//! Defaults that an API server fills into built-in types.
//!
//! Only those which clients and controllers here read back; the rest is left as written. Custom
//! types take their defaults from their schema. Not known here: storage.

use serde_json::{Value, json};

use crate::object::{at, set, text};

/// Fills in what is absent.
pub fn fill(kind: &str, object: &mut Value) {
    match kind {
        "Pod" => pod(object, &["spec"]),
        "StatefulSet" => stateful_set(object),
        "Service" => service(object),
        "PersistentVolumeClaim" => absent(object, &["spec", "volumeMode"], json!("Filesystem")),
        "Namespace" => absent(object, &["spec", "finalizers"], json!(["kubernetes"])),
        "Secret" => {
            absent(object, &["type"], json!("Opaque"));
            secret(object);
        }
        _ => {}
    }
}

fn absent(object: &mut Value, path: &[&str], value: Value) {
    if at(object, path).is_none_or(Value::is_null) {
        set(object, path, value);
    }
}

fn pod(object: &mut Value, spec: &[&str]) {
    let below = |key: &'static str| -> Vec<&str> {
        spec.iter().copied().chain(std::iter::once(key)).collect()
    };
    absent(object, &below("restartPolicy"), json!("Always"));
    absent(object, &below("terminationGracePeriodSeconds"), json!(30));
    absent(object, &below("dnsPolicy"), json!("ClusterFirst"));
    absent(object, &below("schedulerName"), json!("default-scheduler"));
    absent(object, &below("securityContext"), json!({}));
    for list in ["containers", "initContainers"] {
        let containers = spec
            .iter()
            .try_fold(&mut *object, |here, key| here.get_mut(*key))
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(container);
    }
}

fn container(container: &mut Value) {
    let image = text(container, &["image"]);
    let name = image.rsplit('/').next().unwrap_or(image);
    let latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    let policy = if latest { "Always" } else { "IfNotPresent" };
    absent(container, &["imagePullPolicy"], json!(policy));
    absent(container, &["resources"], json!({}));
    absent(container, &["terminationMessagePath"], json!("/dev/termination-log"));
    absent(container, &["terminationMessagePolicy"], json!("File"));
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        absent(port, &["protocol"], json!("TCP"));
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) else { continue };
        absent(probe, &["timeoutSeconds"], json!(1));
        absent(probe, &["periodSeconds"], json!(10));
        absent(probe, &["successThreshold"], json!(1));
        absent(probe, &["failureThreshold"], json!(3));
        if probe.get("httpGet").is_some() {
            absent(probe, &["httpGet", "scheme"], json!("HTTP"));
        }
    }
}

fn stateful_set(object: &mut Value) {
    absent(object, &["spec", "replicas"], json!(1));
    absent(object, &["spec", "podManagementPolicy"], json!("OrderedReady"));
    absent(object, &["spec", "revisionHistoryLimit"], json!(10));
    absent(object, &["spec", "updateStrategy", "type"], json!("RollingUpdate"));
    let retention = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    absent(object, &["spec", "persistentVolumeClaimRetentionPolicy"], retention);
    pod(object, &["spec", "template", "spec"]);
    let claims = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
    for claim in claims.into_iter().flatten() {
        absent(claim, &["apiVersion"], json!("v1"));
        absent(claim, &["kind"], json!("PersistentVolumeClaim"));
        absent(claim, &["spec", "volumeMode"], json!("Filesystem"));
        absent(claim, &["status", "phase"], json!("Pending"));
    }
}

fn service(object: &mut Value) {
    absent(object, &["spec", "type"], json!("ClusterIP"));
    absent(object, &["spec", "sessionAffinity"], json!("None"));
    absent(object, &["spec", "internalTrafficPolicy"], json!("Cluster"));
    let ports = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        absent(port, &["protocol"], json!("TCP"));
        if let Some(number) = port.get("port").cloned() {
            absent(port, &["targetPort"], number);
        }
    }
}

/// `stringData` is write-only: it ends up in `data`, encoded.
fn secret(object: &mut Value) {
    let Some(Value::Object(plain)) = crate::object::remove(object, &["stringData"]) else { return };
    for (key, value) in plain {
        let encoded = base64(value.as_str().unwrap_or("").as_bytes());
        set(object, &["data", &key], encoded.into());
    }
}

/// Standard base64 with padding, as Secrets carry their values.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let block = chunk
            .iter()
            .enumerate()
            .fold(0u32, |sum, (at, byte)| sum | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = DIGITS.get((block >> (18 - 6 * at) & 63) as usize).copied();
            out.push(if at <= chunk.len() { digit.map_or('=', char::from) } else { '=' });
        }
    }
    out
}

/// The inverse of [`base64`]; None for anything that is not base64.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut block, mut bits) = (0u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()) {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        block = block << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((block >> bits) as u8);
            block &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_it_was_written() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(unbase64("a b*"), None);
    }

    #[test]
    fn string_data_of_a_secret_becomes_data() {
        let mut secret = json!({"stringData": {"password": "foo"}});
        fill("Secret", &mut secret);
        assert_eq!(secret, json!({"type": "Opaque", "data": {"password": "Zm9v"}}));
    }
}
