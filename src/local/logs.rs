//! Logs of containers: one file a container and life, read by `kubectl logs`.
//!
//! Not known here: who writes into them.

use std::convert::Infallible;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream;
use holdfast_api_store::{Target, object};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::Value;

use super::api::Api;

/// How often a followed file is looked at.
const FOLLOW_PERIOD: Duration = Duration::from_millis(200);

/// Where the log of a pod's container lies; `previous` is the life before this one.
pub fn file(folder: &Path, pod: &Value, container: &str, previous: bool) -> PathBuf {
    let name = format!(
        "{}_{}_{}_{container}{}.log",
        object::namespace(pod),
        object::name(pod),
        object::uid(pod),
        if previous { ".previous" } else { "" }
    );
    // A container is named by whoever asks; only its last path part may choose the file.
    folder.join(name.replace('/', "_"))
}

/// The last `tail` lines of a log, or all of it; a log that is not there is empty.
pub fn read(file: &Path, tail: Option<usize>) -> Vec<u8> {
    let all = fs::read(file).unwrap_or_default();
    let Some(lines) = tail else { return all };
    let starts = all.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    starts.get(starts.len().saturating_sub(lines)..).unwrap_or(&[]).concat()
}

struct Follow {
    file: PathBuf,
    offset: u64,
    first: Option<Vec<u8>>,
    api: Api,
    pod: Target,
}

/// The log as it grows, until the pod is gone.
pub fn follow(
    file: PathBuf,
    tail: Option<usize>,
    api: Api,
    pod: Target,
) -> UnsyncBoxBody<Bytes, Infallible> {
    let offset = fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let first = Some(read(&file, tail));
    let state = Follow { file, offset, first, api, pod };
    StreamBody::new(stream::unfold(state, grow)).boxed_unsync()
}

async fn grow(mut state: Follow) -> Option<(Result<Frame<Bytes>, Infallible>, Follow)> {
    if let Some(bytes) = state.first.take() {
        return Some((Ok(Frame::data(bytes.into())), state));
    }
    loop {
        let gone = state.api.read(|store| store.get(&state.pod).is_err());
        let bytes = read_from(&state.file, &mut state.offset);
        if !bytes.is_empty() {
            return Some((Ok(Frame::data(bytes.into())), state));
        }
        if gone {
            return None;
        }
        tokio::time::sleep(FOLLOW_PERIOD).await;
    }
}

fn read_from(path: &Path, offset: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(mut file) = fs::File::open(path) else { return bytes };
    // A file that is shorter than before is a new life's.
    if file.metadata().is_ok_and(|metadata| metadata.len() < *offset) {
        *offset = 0;
    }
    if file.seek(SeekFrom::Start(*offset)).is_ok() && file.read_to_end(&mut bytes).is_ok() {
        *offset += bytes.len() as u64;
    }
    bytes
}
