//! Content that records name: its bytes under `content/<two hex digits>/<sha256>`, written once and never changed, and beside
//! them, under `content/known/`, what each name was last found to be. It streams: no file is ever held whole.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, path::Path};
use serde::{Deserialize, Serialize};

use super::{Workspace, WorkspaceError};
use crate::model::{
    Content, Digest, Fetched,
    content::{Base64, Measure},
};

const CONTENT: &str = "content";
/// Bytes that are held while content is written; what is no longer is put in one go.
const PIECE: usize = 5 << 20;

/// What a name was last found to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownContent {
    /// What became of it.
    pub fetched: Fetched,
    /// Which version it was, in the source's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Reading of the source in which it was looked at.
    pub reading: u64,
}

/// A reading of the source, which may take several attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    number: u64,
    ended: bool,
}

/// The reading that an attempt belongs to: the one before is gone on with unless it ended.
const fn next_reading(last: Option<Reading>) -> u64 {
    match last {
        None => 1,
        Some(Reading { number, ended: false }) => number,
        Some(Reading { number, ended: true }) => number + 1,
    }
}

fn path_of(sha256: &str) -> Path {
    let shelf = sha256.get(..2).unwrap_or("00");
    Path::from(CONTENT).join(shelf).join(sha256)
}

fn known_path(reference: &str) -> String {
    let digest = Digest::of(reference.as_bytes());
    let hex = digest.as_str().trim_start_matches("sha256:");
    format!("{CONTENT}/known/{hex}.json")
}

fn reading_path() -> String {
    format!("{CONTENT}/reading.json")
}

impl Workspace {
    /// Begins a reading of the source, or goes on with one that did not end, and says its number.
    ///
    /// # Errors
    /// When the workspace cannot be read or written.
    pub async fn begin_reading(&self) -> Result<u64, WorkspaceError> {
        let number = next_reading(self.get_json(&reading_path()).await?);
        let ended = false;
        self.put_json(&reading_path(), &Reading { number, ended }).await?;
        Ok(number)
    }

    /// Ends a reading: what it found is looked at again in the next.
    ///
    /// # Errors
    /// When the workspace cannot be written.
    pub async fn end_reading(&self, number: u64) -> Result<(), WorkspaceError> {
        let ended = true;
        self.put_json(&reading_path(), &Reading { number, ended }).await
    }

    /// What a name was last found to be, if its bytes are still here.
    ///
    /// # Errors
    /// When the workspace cannot be read.
    pub async fn known_content(&self, reference: &str) -> Result<Option<KnownContent>, WorkspaceError> {
        let known: Option<KnownContent> = self.get_json(&known_path(reference)).await?;
        match &known {
            Some(KnownContent {
                fetched: Fetched::Content(content),
                ..
            }) if !self.has_content(content).await? => Ok(None),
            _ => Ok(known),
        }
    }

    /// Keeps what a name was found to be.
    ///
    /// # Errors
    /// When the workspace cannot be written.
    pub async fn know_content(&self, reference: &str, known: &KnownContent) -> Result<(), WorkspaceError> {
        self.put_json(&known_path(reference), known).await
    }

    /// Begins to write content.
    #[must_use]
    pub fn write_content(&self) -> ContentWriter {
        ContentWriter {
            workspace: self.clone(),
            measure: Measure::default(),
            held: Vec::new(),
            upload: None,
        }
    }

    async fn has_content(&self, content: &Content) -> Result<bool, WorkspaceError> {
        let Some(sha256) = &content.sha256 else {
            return Ok(false);
        };
        let path = path_of(sha256);
        match self.store.head(&path).await {
            Ok(meta) => Ok(meta.size == content.size),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(WorkspaceError::io(&path, error)),
        }
    }

    /// The bytes of content as they are stored.
    async fn read_content(
        &self,
        path: &Path,
    ) -> Result<BoxStream<'static, Result<Bytes, WorkspaceError>>, WorkspaceError> {
        let got = match self.store.get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Err(WorkspaceError::damaged(path, "it is not there")),
            got => got.map_err(|error| WorkspaceError::io(path, error))?,
        };
        let at = path.clone();
        let bytes = got.into_stream();
        Ok(bytes.map_err(move |error| WorkspaceError::io(&at, error)).boxed())
    }

    /// The bytes of content in base64: one text, of which nothing is trusted that is not what was written.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub async fn content_as_base64(&self, content: &Content) -> Result<String, WorkspaceError> {
        let Some(sha256) = &content.sha256 else {
            return Err(WorkspaceError::damaged(
                &CONTENT,
                "content of another place was asked for",
            ));
        };
        let path = path_of(sha256);
        let mut bytes = self.read_content(&path).await?;
        let (mut measure, mut text) = (Measure::default(), Base64::for_bytes(content.size));
        while let Some(piece) = bytes.try_next().await? {
            measure.push(&piece);
            text.push(&piece);
        }
        if measure.finish() != *content {
            return Err(WorkspaceError::damaged(&path, "it is not what was written"));
        }
        Ok(text.finish())
    }
}

/// Content on its way into the workspace.
#[derive(Debug)]
pub struct ContentWriter {
    workspace: Workspace,
    measure: Measure,
    held: Vec<u8>,
    upload: Option<(Path, Box<dyn MultipartUpload>)>,
}

impl ContentWriter {
    /// The next bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), WorkspaceError> {
        self.measure.push(bytes);
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.put_piece().await?;
        }
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.measure.size()
    }

    async fn put_piece(&mut self) -> Result<(), WorkspaceError> {
        let piece = PutPayload::from(std::mem::take(&mut self.held));
        if self.upload.is_none() {
            // one attempt writes at a time, and one content at a time
            let path = Path::from(CONTENT).join("incoming");
            let begun = self.workspace.store.put_multipart(&path).await;
            let upload = begun.map_err(|error| WorkspaceError::io(&path, error))?;
            self.upload = Some((path, upload));
        }
        if let Some((path, upload)) = &mut self.upload {
            let put = upload.put_part(piece).await;
            put.map_err(|error| WorkspaceError::io(path, error))?;
        }
        Ok(())
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(mut self) -> Result<Content, WorkspaceError> {
        if self.upload.is_some() && !self.held.is_empty() {
            self.put_piece().await?;
        }
        let content = self.measure.clone().finish();
        let path = path_of(content.sha256.as_deref().unwrap_or_default());
        let there = self.workspace.has_content(&content).await?;
        match self.upload.take() {
            _ if there => self.abandon().await,
            None => self.workspace.put(&path, std::mem::take(&mut self.held)).await?,
            Some((incoming, mut upload)) => {
                let complete = upload.complete().await;
                complete.map_err(|error| WorkspaceError::io(&incoming, error))?;
                let renamed = self.workspace.store.rename(&incoming, &path).await;
                renamed.map_err(|error| WorkspaceError::io(&path, error))?;
            }
        }
        Ok(content)
    }

    /// Leaves it.
    pub async fn abandon(self) {
        if let Some((path, mut upload)) = self.upload
            && let Err(error) = upload.abort().await
        {
            // what is left of it is in nobody's way
            tracing::debug!(%path, %error, "could not take back what was written of a content");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_did_not_end_is_gone_on_with() {
        let last = |number, ended| Some(Reading { number, ended });
        assert_eq!(next_reading(None), 1);
        assert_eq!(next_reading(last(3, false)), 3);
        assert_eq!(next_reading(last(3, true)), 4);
    }

    #[tokio::test]
    async fn content_of_any_size_comes_back_as_it_was_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::folder(folder.path()).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(PIECE * 2 + 17).collect();
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, bytes.len()] {
            for _ in 0..2 {
                let mut writer = workspace.write_content();
                for piece in bytes[..size].chunks(1 << 20) {
                    writer.push(piece).await.unwrap();
                }
                let content = writer.finish().await.unwrap();
                assert_eq!(content, Content::of(&bytes[..size]), "{size}");
                let text = workspace.content_as_base64(&content).await.unwrap();
                assert_eq!(Content::of_base64(&text), Some(content), "{size}");
            }
        }
        let content = Content::of(&bytes[..1]);
        let file = folder.path().join(path_of(content.sha256.as_deref().unwrap()).as_ref());
        std::fs::write(file, b"x").unwrap();
        let damaged = workspace.content_as_base64(&content).await;
        assert!(matches!(damaged, Err(WorkspaceError::Damaged { .. })), "{damaged:?}");
        assert!(!folder.path().join("content/incoming").exists());
    }
}
