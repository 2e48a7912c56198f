//! A file of JSON lines, packed with zstd (with a checksum) and put whole.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Workspace, WorkspaceError};

/// zstd's default: the best rate for its price.
const LEVEL: i32 = 3;

/// Appends one line.
pub fn write_line<T: Serialize>(item: &T, lines: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *lines, item)?;
    lines.push(b'\n');
    Ok(())
}

/// Packs lines.
pub fn pack(lines: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
    packer.include_checksum(true)?;
    packer.compress(lines)
}

/// The lines of a packed file. Cut off anywhere, or changed anywhere, it is damaged.
pub fn unpack(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, WorkspaceError> {
    if bytes.is_empty() {
        return Err(WorkspaceError::damaged(path, "it is empty"));
    }
    let lines = zstd::decode_all(bytes).map_err(|error| WorkspaceError::damaged(path, error.to_string()))?;
    if lines.last().is_some_and(|last| *last != b'\n') {
        return Err(WorkspaceError::damaged(path, "its last line is cut off"));
    }
    Ok(lines)
}

/// The items of unpacked lines, parsed one by one.
pub fn items<T: DeserializeOwned>(path: Path, lines: Vec<u8>) -> impl Iterator<Item = Result<T, WorkspaceError>> {
    let mut at = 0;
    let mut number = 0;
    std::iter::from_fn(move || {
        let rest = lines.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        at += end + 1;
        number += 1;
        // the parser's own words may quote the data
        let damaged = |_| WorkspaceError::damaged(&path, format!("line {number} is not what was written"));
        Some(serde_json::from_slice(&rest[..end]).map_err(damaged))
    })
}

impl Workspace {
    /// The items of packed files, one file in memory at a time. `check` sees the lines of each before they are used.
    pub(super) fn read_segments<T, S, C>(
        &self,
        segments: Vec<(Path, S)>,
        check: C,
    ) -> BoxStream<'static, Result<T, WorkspaceError>>
    where
        T: DeserializeOwned + Send + 'static,
        S: Send + 'static,
        C: Fn(&Path, &S, &[u8]) -> Result<(), WorkspaceError> + Clone + Send + 'static,
    {
        let workspace = self.clone();
        stream::iter(segments)
            .then(move |(path, about)| {
                let (workspace, check) = (workspace.clone(), check.clone());
                async move {
                    let bytes = workspace.get(&path).await?;
                    let bytes = bytes.ok_or_else(|| WorkspaceError::damaged(&path, "it is not there"))?;
                    let lines = unpack(&path, &bytes)?;
                    check(&path, &about, &lines)?;
                    Ok(stream::iter(items(path, lines)))
                }
            })
            .try_flatten()
            .boxed()
    }
}
