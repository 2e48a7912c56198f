//! Sorting more lines than memory holds, for `orderBy`: sorted runs in scratch files, then one merge.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WorkspaceError;

/// What one line costs in memory beside its text.
const OVERHEAD: usize = 64;

/// The lines in the order of their keys; lines of one key stay in the order they came. Holds about `memory` bytes of
/// lines; what is more goes to files in `scratch` that vanish with the stream.
///
/// # Errors
/// The first error of `lines`, or that of the scratch folder.
pub async fn sort_lines<K, L, S>(
    lines: S,
    scratch: &Path,
    memory: usize,
) -> Result<BoxStream<'static, Result<L, WorkspaceError>>, WorkspaceError>
where
    K: Ord + Serialize + DeserializeOwned + Send + 'static,
    L: Serialize + DeserializeOwned + Send + 'static,
    S: Stream<Item = Result<(K, L), WorkspaceError>> + Send,
{
    let place = scratch.display().to_string();
    let failed = move |error| WorkspaceError::io(&place, error);
    let mut lines = std::pin::pin!(lines);
    let mut sorter = Sorter::new(scratch, memory);
    while let Some((key, line)) = lines.try_next().await? {
        sorter.push(key, &line).map_err(&failed)?;
    }
    let merge = sorter.finish().map_err(&failed)?;
    Ok(stream::iter(merge.map(move |line| line.map_err(&failed))).boxed())
}

struct Sorter<K> {
    scratch: PathBuf,
    memory: usize,
    held: usize,
    /// Keys, and key and line as JSON.
    lines: Vec<(K, Vec<u8>)>,
    spilled: Vec<File>,
}

impl<K: Ord + Serialize + DeserializeOwned> Sorter<K> {
    fn new(scratch: &Path, memory: usize) -> Self {
        Self {
            scratch: scratch.to_owned(),
            memory,
            held: 0,
            lines: Vec::new(),
            spilled: Vec::new(),
        }
    }

    fn push<L: Serialize>(&mut self, key: K, line: &L) -> io::Result<()> {
        let json = serde_json::to_vec(&(&key, line))?;
        self.held += json.len() + OVERHEAD;
        self.lines.push((key, json));
        if self.held > self.memory {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.lines.sort_by(|a, b| a.0.cmp(&b.0));
        let mut out = BufWriter::new(tempfile::tempfile_in(&self.scratch)?);
        for (_, json) in self.lines.drain(..) {
            out.write_all(&json)?;
            out.write_all(b"\n")?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.spilled.push(file);
        self.held = 0;
        Ok(())
    }

    fn finish<L: DeserializeOwned>(mut self) -> io::Result<Merge<K, L>> {
        self.lines.sort_by(|a, b| a.0.cmp(&b.0));
        let mut runs: Vec<Run> = self
            .spilled
            .into_iter()
            .map(|file| Run::File(BufReader::new(file)))
            .collect();
        runs.push(Run::Memory(
            self.lines
                .into_iter()
                .map(|(_, json)| json)
                .collect::<Vec<_>>()
                .into_iter(),
        ));
        let mut merge = Merge {
            runs,
            heads: BinaryHeap::new(),
        };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }
}

/// Lines in order, one after the other.
enum Run {
    File(BufReader<File>),
    Memory(std::vec::IntoIter<Vec<u8>>),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Memory(lines) => Ok(lines.next()),
            Self::File(file) => {
                let mut json = Vec::new();
                let read = file.read_until(b'\n', &mut json)?;
                Ok((read > 0).then_some(json))
            }
        }
    }
}

/// The first line of a run. Runs are in the order the lines came, so that equal keys are too.
struct Head<K, L> {
    key: K,
    run: usize,
    line: L,
}

impl<K: Ord, L> Ord for Head<K, L> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then(self.run.cmp(&other.run))
    }
}

impl<K: Ord, L> PartialOrd for Head<K, L> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, L> PartialEq for Head<K, L> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord, L> Eq for Head<K, L> {}

struct Merge<K, L> {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<Head<K, L>>>,
}

impl<K: Ord + DeserializeOwned, L: DeserializeOwned> Merge<K, L> {
    fn advance(&mut self, run: usize) -> io::Result<()> {
        if let Some(json) = self.runs[run].next()? {
            let (key, line) = serde_json::from_slice(&json)?;
            self.heads.push(Reverse(Head { key, run, line }));
        }
        Ok(())
    }
}

impl<K: Ord + DeserializeOwned, L: DeserializeOwned> Iterator for Merge<K, L> {
    type Item = io::Result<L>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { run, line, .. }) = self.heads.pop()?;
        Some(self.advance(run).map(|()| line))
    }
}
