//! Export files: one CSV or JSON Lines file per source object.
//!
//! This part only moves bytes: it lists the folder, reads each file twice (once to tell its encoding from all of its
//! bytes, once for its records) and hands the bytes to the pure readers below it. Nothing grows with a file's size.

mod csv;
mod jsonl;
mod text;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};

use self::csv::Csv;
use self::jsonl::JsonLines;
/// Reads the JSON of one record as a line of JSON Lines is read: nothing is altered, what cannot be kept is told.
pub(super) use self::jsonl::parse as record;
use self::text::{Decoder, Layout, Survey};
use self::window::Window;
use super::content::{Answer, Body, Reference, Refused, below_folder};
use super::{Item, Items, Source, SourceError, SourceObject};
use crate::model::Rejection;

/// How many lines of a JSON Lines file tell its fields.
const LINES_FOR_FIELDS: usize = 1000;
/// How much of a file is fetched at a time.
const BLOCK: u64 = 256 << 10;

/// The bytes of a file.
type Blocks = BoxStream<'static, Result<Bytes, SourceError>>;

/// What a reader of bytes has to say.
#[derive(Debug, PartialEq)]
enum Step {
    /// An item.
    Item(Item),
    /// More bytes are needed.
    More,
    /// There are no more items.
    End,
}

/// The rejection of a line.
fn broken(place: &str, line: u64, why: &str) -> Item {
    Item::Broken(Rejection::new(
        "BrokenLine",
        place,
        format!("line {line} of {place}: {why}"),
    ))
}

/// What a file's name says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
    /// `.json`: JSON Lines, if it is line-wise.
    Json,
}

/// Stem and format of a file, `None` for one that is no export: hidden, unfinished, or something else.
fn recognise(name: &str) -> Option<(&str, Format)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let format = match extension.to_ascii_lowercase().as_str() {
        "csv" | "tsv" | "txt" => Format::Csv,
        "jsonl" | "ndjson" => Format::JsonLines,
        "json" => Format::Json,
        _ => return None,
    };
    (!stem.is_empty() && !stem.starts_with('.')).then_some((stem, format))
}

/// A reader of one file.
#[derive(Debug)]
enum Reader {
    Csv(Csv),
    JsonLines(JsonLines),
}

impl Reader {
    fn new(place: String, format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv(Csv::new(place)),
            Format::JsonLines => Self::JsonLines(JsonLines::new(place, false)),
            Format::Json => Self::JsonLines(JsonLines::new(place, true)),
        }
    }

    fn window(&mut self) -> &mut Window {
        match self {
            Self::Csv(reader) => reader.window(),
            Self::JsonLines(reader) => reader.window(),
        }
    }

    fn step(&mut self) -> Result<Step, String> {
        match self {
            Self::Csv(reader) => reader.step(),
            Self::JsonLines(reader) => reader.step(),
        }
    }
}

/// A folder of export files in any object store.
#[derive(Clone, Debug)]
pub struct FilesSource {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    folder: Option<PathBuf>,
}

/// Where exports lie.
#[derive(Clone, Debug)]
pub struct Exports {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The folder in it.
    pub prefix: Path,
    /// The folder on this machine, where the store is one: links in it are looked at.
    pub folder: Option<PathBuf>,
}

/// One file of the folder.
#[derive(Clone, Debug)]
struct Found {
    meta: ObjectMeta,
    format: Format,
}

impl FilesSource {
    /// The files directly below `prefix`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self {
            store,
            prefix,
            folder: None,
        }
    }

    /// The files of exports.
    #[must_use]
    pub fn of(exports: Exports) -> Self {
        let Exports { store, prefix, folder } = exports;
        Self { store, prefix, folder }
    }

    /// The file of this name below the folder; links are followed as far as they stay in it.
    async fn named(&self, name: &str) -> Result<Result<Path, Refused>, SourceError> {
        let parts = match below_folder(name) {
            Ok(parts) => parts,
            Err(refused) => return Ok(Err(refused)),
        };
        let asked = parts
            .iter()
            .fold(self.prefix.clone(), |path, part| as_it_is(&path, part));
        let Some(folder) = &self.folder else {
            return Ok(Ok(asked));
        };
        let unread = |source| SourceError::Io {
            place: asked.to_string(),
            source,
        };
        let real = tokio::fs::canonicalize(folder).await.map_err(unread)?;
        match tokio::fs::canonicalize(parts.iter().fold(folder.clone(), |path, part| path.join(part))).await {
            Ok(file) if file.starts_with(&real) => Ok(Ok(asked)),
            Ok(_) => Ok(Err(Refused::not_allowed(
                asked.as_ref(),
                "is a link out of the export folder",
            ))),
            Err(error) if is_absent(&error) => Ok(Err(Refused::not_there(asked.as_ref()))),
            Err(error) => Err(unread(error)),
        }
    }

    /// The file of each object; an absent folder has none.
    async fn files(&self) -> Result<BTreeMap<String, Found>, SourceError> {
        let listed = match self.store.list_with_delimiter(Some(&self.prefix)).await {
            Ok(listed) => listed.objects,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(failed(&self.prefix, error)),
        };
        by_object(listed)
    }

    /// Opens a file for reading its items.
    async fn open(&self, file: &Found) -> Result<Reading, SourceError> {
        let place = file.meta.location.to_string();
        let mut survey = Survey::default();
        let mut bytes = self.bytes(&file.meta);
        while !survey.decided()
            && let Some(block) = bytes.try_next().await?
        {
            survey.push(&block);
        }
        let layout = survey.finish();
        tracing::debug!(%place, encoding = layout.encoding.name(), "surveyed an export file");
        Ok(Reading::new(place, file.format, layout, self.bytes(&file.meta)))
    }

    /// The bytes of a file as it was when it was listed, block by block: once another is put in its place, or it
    /// changes, each further block is an error.
    fn bytes(&self, meta: &ObjectMeta) -> Blocks {
        let (store, meta) = (Arc::clone(&self.store), meta.clone());
        stream::try_unfold(0, move |start| {
            let (store, meta) = (Arc::clone(&store), meta.clone());
            async move {
                if start >= meta.size {
                    return Ok(None);
                }
                let end = meta.size.min(start + BLOCK);
                let options = GetOptions {
                    if_match: meta.e_tag,
                    range: Some(GetRange::Bounded(start..end)),
                    ..GetOptions::default()
                };
                let failed = |error| failed(&meta.location, error);
                let got = store.get_opts(&meta.location, options).await.map_err(failed)?;
                let block = got.bytes().await.map_err(failed)?;
                Ok(Some((block, end)))
            }
        })
        .boxed()
    }

    async fn describe(&self, name: String, file: Found) -> Result<SourceObject, SourceError> {
        let reading = self.open(&file).await?;
        Ok(SourceObject {
            name,
            fields: reading.fields().await?,
            place: file.meta.location.to_string(),
            bytes: Some(file.meta.size),
            live: false,
            ways: std::collections::BTreeSet::new(),
        })
    }
}

/// A path with a part as the file is called: nothing in it is encoded.
fn as_it_is(path: &Path, part: &str) -> Path {
    let text = format!("{path}/{part}");
    Path::parse(&text).unwrap_or_else(|_| path.clone().join(part))
}

/// Whether no file can be there: a part of the way is missing, no folder, or no name that the system can have.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}

#[async_trait]
impl Source for FilesSource {
    async fn content(&self, reference: &Reference, known: Option<&str>) -> Result<Option<Answer>, SourceError> {
        let Reference::Name(name) = reference else {
            return Ok(None);
        };
        let path = match self.named(name).await? {
            Ok(path) => path,
            Err(refused) => return Ok(Some(Answer::Refused(refused))),
        };
        let meta = match self.store.head(&path).await {
            Ok(meta) => meta,
            Err(object_store::Error::NotFound { .. }) => {
                return Ok(Some(Answer::Refused(Refused::not_there(path.as_ref()))));
            }
            Err(error) => return Err(failed(&path, error)),
        };
        if known.is_some() && known == meta.e_tag.as_deref() {
            return Ok(Some(Answer::Unchanged));
        }
        Ok(Some(Answer::Body(Body {
            bytes: self.bytes(&meta),
            length: Some(meta.size),
            version: meta.e_tag,
        })))
    }

    async fn objects(&self) -> Result<Vec<SourceObject>, SourceError> {
        let mut objects = Vec::new();
        for (name, file) in self.files().await? {
            objects.push(self.describe(name, file).await?);
        }
        Ok(objects)
    }

    async fn read(&self, object: &str) -> Result<Items, SourceError> {
        let mut files = self.files().await?;
        let file = files.remove(object).ok_or_else(|| SourceError::Missing {
            place: format!("{}/{object}.csv (or .jsonl)", self.prefix),
        })?;
        Ok(self.open(&file).await?.items())
    }
}

/// The export files of a folder by object.
fn by_object(listed: Vec<ObjectMeta>) -> Result<BTreeMap<String, Found>, SourceError> {
    let mut files: BTreeMap<String, Found> = BTreeMap::new();
    for meta in listed {
        let Some((stem, format)) = meta.location.filename().and_then(recognise) else {
            continue;
        };
        if let Some(other) = files.get(stem) {
            let mut both = [other.meta.location.to_string(), meta.location.to_string()];
            both.sort();
            let [place, second] = both;
            let message = format!("{second} gives the same object {stem:?}, keep one of them");
            return Err(SourceError::Unusable { place, message });
        }
        files.insert(stem.to_owned(), Found { meta, format });
    }
    Ok(files)
}

fn failed(path: &Path, error: object_store::Error) -> SourceError {
    let place = path.to_string();
    match error {
        object_store::Error::NotFound { .. } => SourceError::Missing { place },
        object_store::Error::Precondition { .. } => SourceError::Io {
            place,
            source: io::Error::other("the file was replaced while it was read"),
        },
        error => SourceError::Io {
            place,
            source: io::Error::other(error),
        },
    }
}

/// A file being read.
struct Reading {
    place: String,
    reader: Reader,
    decoder: Decoder,
    bytes: Blocks,
}

impl Reading {
    fn new(place: String, format: Format, layout: Layout, bytes: Blocks) -> Self {
        Self {
            reader: Reader::new(place.clone(), format),
            decoder: Decoder::new(layout),
            place,
            bytes,
        }
    }

    /// The next item; `None` at the end.
    async fn next(&mut self) -> Result<Option<Item>, SourceError> {
        loop {
            match self.step()? {
                Step::Item(item) => return Ok(Some(item)),
                Step::End => return Ok(None),
                Step::More => self.feed().await?,
            }
        }
    }

    fn step(&mut self) -> Result<Step, SourceError> {
        self.reader.step().map_err(|message| SourceError::Unusable {
            place: self.place.clone(),
            message,
        })
    }

    async fn feed(&mut self) -> Result<(), SourceError> {
        let chunk = self.bytes.try_next().await?;
        let window = self.reader.window();
        self.decoder
            .decode(chunk.as_deref().unwrap_or_default(), chunk.is_none(), window.grow());
        if chunk.is_none() {
            window.end();
        }
        Ok(())
    }

    fn items(self) -> Items {
        stream::try_unfold(Box::new(self), |mut reading| async move {
            let item = reading.next().await?;
            Ok(item.map(|item| (item, reading)))
        })
        .boxed()
    }

    /// The fields that the file declares: its header, or the names in its first lines.
    async fn fields(mut self) -> Result<Vec<String>, SourceError> {
        let mut fields = Vec::new();
        for _ in 0..LINES_FOR_FIELDS {
            let item = self.next().await?;
            if let Reader::Csv(csv) = &self.reader {
                return Ok(csv.fields().map(<[String]>::to_vec).unwrap_or_default());
            }
            match item {
                None => break,
                Some(Item::Broken(_)) => {}
                Some(Item::Record(record)) => {
                    for (name, _) in record {
                        if !fields.contains(&name) {
                            fields.push(name);
                        }
                    }
                }
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests;
