//! The snapshot: source records as they came, in generations that never change.
//!
//! A generation is `snapshot/<n>/<object>/<chunk>.jsonl.zst` and `snapshot/<n>/manifest.json`. It exists once its
//! manifest does; the manifest counts and digests every chunk, so that a chunk that is missing, cut off or changed is an
//! error. The manifest's watermark depends on the records alone: equal records have equal watermarks.

use std::collections::BTreeMap;

use futures::stream::{self, BoxStream, StreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::segment::{pack, write_line};
use super::{Line, Workspace, WorkspaceError};
use crate::model::Digest;

const SNAPSHOT: &str = "snapshot";
/// Where a generation keeps, line by line, what became of the content that its records name.
pub const CONTENT: &str = "@content";
const MANIFEST: &str = "manifest.json";
/// What a generation begins with.
const BEGUN: &str = "begun";
/// A chunk is closed when its lines have this many bytes: what a reader or a writer holds.
const CHUNK: usize = 2 << 20;

/// What a generation holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Its number.
    pub generation: u64,
    /// Source object to what there is of it.
    pub objects: BTreeMap<String, ObjectLines>,
    /// Digest of `objects`.
    pub watermark: Digest,
}

impl Manifest {
    /// Lines of a source object, broken ones too.
    #[must_use]
    pub fn count(&self, object: &str) -> u64 {
        self.objects.get(object).map_or(0, |lines| lines.records + lines.broken)
    }

    /// Lines of all source objects: what became of content is none of theirs.
    #[must_use]
    pub fn total(&self) -> u64 {
        let objects = self.objects.iter().filter(|(name, _)| *name != CONTENT);
        objects.map(|(_, lines)| lines.records + lines.broken).sum()
    }
}

/// What there is of one source object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectLines {
    /// Records.
    pub records: u64,
    /// Lines that could not be read.
    pub broken: u64,
    /// Its chunks, in order.
    pub chunks: Vec<Chunk>,
}

/// A file of lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// Number of lines.
    pub lines: u64,
    /// Their length in bytes, unpacked.
    pub bytes: u64,
    /// Digest of the lines, unpacked.
    pub digest: Digest,
}

impl Workspace {
    /// Begins a new generation.
    ///
    /// # Errors
    /// When the workspace cannot be listed.
    pub async fn begin_snapshot(&self) -> Result<SnapshotWriter, WorkspaceError> {
        let generations = self.generations().await?;
        let last = generations.last().copied().unwrap_or(0);
        // the newest may be one that an attempt is still at, which does not know yet that it was superseded
        for generation in generations.into_iter().filter(|generation| *generation != last) {
            let manifest = generation_path(generation).join(MANIFEST);
            if self.get(&manifest).await?.is_none() {
                self.delete_below(&format!("{SNAPSHOT}/{generation}")).await?;
            }
        }
        // its number is taken from now on
        let generation = last + 1;
        self.put(&generation_path(generation).join(BEGUN), Vec::new()).await?;
        Ok(SnapshotWriter {
            workspace: self.clone(),
            generation,
            objects: BTreeMap::new(),
        })
    }

    /// The manifest of the newest generation that is complete.
    ///
    /// # Errors
    /// When it is damaged.
    pub async fn latest_snapshot(&self) -> Result<Option<Manifest>, WorkspaceError> {
        for generation in self.generations().await?.into_iter().rev() {
            let path = generation_path(generation).join(MANIFEST);
            if let Some(bytes) = self.get(&path).await? {
                return Ok(Some(manifest(&path, generation, &bytes)?));
            }
        }
        Ok(None)
    }

    /// The lines of a source object, in the order they were written.
    pub fn read_object(&self, manifest: &Manifest, object: &str) -> BoxStream<'static, Result<Line, WorkspaceError>> {
        let Some(lines) = manifest.objects.get(object) else {
            let path = generation_path(manifest.generation).join(MANIFEST);
            let missing = WorkspaceError::damaged(&path, format!("it has no source object {object}"));
            return stream::iter([Err(missing)]).boxed();
        };
        let path = |number| chunk_path(manifest.generation, object, number);
        let chunks = (1..).map(path).zip(lines.chunks.iter().cloned()).collect();
        self.read_segments(chunks, check_chunk)
    }

    /// Removes all complete generations but the newest `keep`, and the incomplete ones before the newest complete one.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn prune_snapshots(&self, keep: usize) -> Result<(), WorkspaceError> {
        let mut complete = 0;
        for generation in self.generations().await?.into_iter().rev() {
            let dir = generation_path(generation);
            let listed = self.store.list(Some(&dir)).collect::<Vec<_>>().await;
            let mut paths = Vec::new();
            for meta in listed {
                paths.push(meta.map_err(|error| WorkspaceError::io(&dir, error))?.location);
            }
            let manifest = dir.join(MANIFEST);
            let is_complete = paths.contains(&manifest);
            complete += usize::from(is_complete);
            if complete == 0 || (is_complete && complete <= keep) {
                continue;
            }
            // without its manifest the generation is gone
            self.delete(&manifest).await?;
            for path in paths.iter().filter(|path| **path != manifest) {
                self.delete(path).await?;
            }
        }
        Ok(())
    }

    /// The numbers of all generations, complete or not, in order.
    async fn generations(&self) -> Result<Vec<u64>, WorkspaceError> {
        let dir = Path::from(SNAPSHOT);
        let listed = match self.store.list_with_delimiter(Some(&dir)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            listed => listed.map_err(|error| WorkspaceError::io(&dir, error))?,
        };
        let number = |path: &Path| path.filename()?.parse::<u64>().ok();
        let mut numbers: Vec<u64> = listed.common_prefixes.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn manifest(path: &Path, generation: u64, bytes: &[u8]) -> Result<Manifest, WorkspaceError> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|_| WorkspaceError::damaged(path, "it is no manifest"))?;
    if manifest.generation != generation || manifest.watermark != watermark(path, &manifest.objects)? {
        return Err(WorkspaceError::damaged(path, "it is not what was written"));
    }
    Ok(manifest)
}

fn watermark(path: &Path, objects: &BTreeMap<String, ObjectLines>) -> Result<Digest, WorkspaceError> {
    Digest::of_json(objects).map_err(|error| WorkspaceError::io(path, error))
}

fn check_chunk(path: &Path, chunk: &Chunk, lines: &[u8]) -> Result<(), WorkspaceError> {
    if Digest::of(lines) != chunk.digest || line_count(lines) != chunk.lines {
        return Err(WorkspaceError::damaged(path, "it is not what the manifest says"));
    }
    Ok(())
}

fn line_count(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn generation_path(generation: u64) -> Path {
    Path::from(SNAPSHOT).join(generation.to_string())
}

fn chunk_path(generation: u64, object: &str, number: u64) -> Path {
    generation_path(generation)
        .join(object)
        .join(format!("{number:06}.jsonl.zst"))
}

/// A generation being written.
#[derive(Debug)]
pub struct SnapshotWriter {
    workspace: Workspace,
    generation: u64,
    objects: BTreeMap<String, ObjectLines>,
}

impl SnapshotWriter {
    /// Begins a source object. It counts once its writer is finished.
    pub fn object(&mut self, name: &str) -> ObjectWriter<'_> {
        ObjectWriter {
            snapshot: self,
            name: name.to_owned(),
            done: ObjectLines::default(),
            lines: Vec::new(),
        }
    }

    /// What there is so far, as a manifest that is not written: its finished objects can be read.
    ///
    /// # Errors
    /// When it has no digest.
    pub fn so_far(&self) -> Result<Manifest, WorkspaceError> {
        let path = generation_path(self.generation).join(MANIFEST);
        Ok(Manifest {
            generation: self.generation,
            watermark: watermark(&path, &self.objects)?,
            objects: self.objects.clone(),
        })
    }

    /// Takes away what was written.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn discard(self) -> Result<(), WorkspaceError> {
        self.workspace
            .delete_below(&format!("{SNAPSHOT}/{}", self.generation))
            .await
    }

    /// Writes the manifest: from now on the generation exists.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(self) -> Result<Manifest, WorkspaceError> {
        let path = generation_path(self.generation).join(MANIFEST);
        let manifest = self.so_far()?;
        let json = serde_json::to_vec(&manifest).map_err(|error| WorkspaceError::io(&path, error))?;
        self.workspace.put(&path, json).await?;
        Ok(manifest)
    }
}

/// A source object being written.
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    snapshot: &'a mut SnapshotWriter,
    name: String,
    done: ObjectLines,
    lines: Vec<u8>,
}

impl ObjectWriter<'_> {
    /// Adds a line.
    ///
    /// # Errors
    /// When a chunk cannot be written.
    pub async fn push(&mut self, line: &Line) -> Result<(), WorkspaceError> {
        write_line(line, &mut self.lines).map_err(|error| WorkspaceError::io(&self.path(), error))?;
        match line {
            Line::Record(_) => self.done.records += 1,
            Line::Broken(_) => self.done.broken += 1,
        }
        if self.lines.len() >= CHUNK {
            self.put_chunk().await?;
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When a chunk cannot be written.
    pub async fn finish(mut self) -> Result<(), WorkspaceError> {
        if !self.lines.is_empty() {
            self.put_chunk().await?;
        }
        self.snapshot.objects.insert(self.name, self.done);
        Ok(())
    }

    fn path(&self) -> Path {
        chunk_path(self.snapshot.generation, &self.name, self.done.chunks.len() as u64 + 1)
    }

    async fn put_chunk(&mut self) -> Result<(), WorkspaceError> {
        let path = self.path();
        let packed = pack(&self.lines).map_err(|error| WorkspaceError::io(&path, error))?;
        self.snapshot.workspace.put(&path, packed).await?;
        self.done.chunks.push(Chunk {
            lines: line_count(&self.lines),
            bytes: self.lines.len() as u64,
            digest: Digest::of(&self.lines),
        });
        self.lines.clear();
        Ok(())
    }
}
