//! The content that records name: fetched once, when the source is read, into the workspace; found there by everything later.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::{
    Job,
    error::StepError,
    index::{Index, IndexError, Kind, decode, encode},
    joins,
};
use crate::{
    api::{migration::Content as Spec, phase_run::FailureReason},
    mapping::{Mapping, Object, Step},
    model::{Content, Fetched, Record, Value},
    odoo::content::{Contents, Unread},
    source::{
        Source, SourceError,
        content::{Answer, Body, Links, Reference, Refused},
    },
    workspace::{KnownContent, Line, Manifest, SnapshotWriter, Workspace, WorkspaceError, snapshot::CONTENT},
};

/// Redirects that are followed for one content.
const HOPS: usize = 3;
/// Times that bytes which break off are asked for again.
const TRIES: usize = 3;
/// Fields of a line: the name, and what became of it.
const NAME: &str = "reference";
const FETCHED: &str = "fetched";

/// Fetches.
pub(super) struct Fetcher<'a> {
    workspace: &'a Workspace,
    source: &'a dyn Source,
    spec: Spec,
    /// Made when the first link comes.
    links: OnceCell<Links>,
    most: u64,
    reading: u64,
    /// Contents that are not to be had now and stay what they were.
    kept: AtomicI64,
}

impl<'a> Fetcher<'a> {
    /// Goes on with the reading of the source that is under way.
    pub async fn begin(
        workspace: &'a Workspace,
        source: &'a dyn Source,
        spec: Option<&Spec>,
    ) -> Result<Self, StepError> {
        let spec = spec.cloned().unwrap_or_default();
        Ok(Self {
            workspace,
            source,
            most: spec.most_bytes(),
            spec,
            links: OnceCell::new(),
            reading: workspace.begin_reading().await?,
            kept: AtomicI64::new(0),
        })
    }

    /// The reading is over: the next one looks at all content again.
    pub async fn end(self) -> Result<(), StepError> {
        let kept = self.kept.into_inner();
        if kept > 0 {
            tracing::warn!(
                kept,
                "contents that were fetched before are not to be had now: they stay what they were"
            );
        }
        Ok(self.workspace.end_reading(self.reading).await?)
    }

    /// What becomes of the content of this name.
    pub async fn fetch(&self, name: &str) -> Result<Fetched, StepError> {
        let reference = match Reference::parse(name) {
            Ok(reference) => reference,
            Err(refused) => return Ok(as_refused(refused)),
        };
        let known = self.workspace.known_content(name).await?;
        let known = known.filter(|known| self.fits(&known.fetched));
        if let Some(known) = known.as_ref().filter(|known| known.reading == self.reading) {
            return Ok(known.fetched.clone());
        }
        let version = known.as_ref().and_then(|known| known.version.as_deref());
        let fetched = match (self.ask_source(&reference, version).await?, known) {
            // what was fetched once and is not to be had now stays what it was
            (
                Some(KnownContent {
                    fetched: Fetched::Refused { .. },
                    ..
                }),
                Some(known),
            ) => {
                self.kept.fetch_add(1, Ordering::Relaxed);
                self.again(known)
            }
            (Some(fetched), _) => fetched,
            (None, Some(known)) => self.again(known),
            // nobody asked whether it changed
            (None, None) => return Err(unasked(&reference)),
        };
        self.workspace.know_content(name, &fetched).await?;
        Ok(fetched.fetched)
    }

    /// What is known, seen in this reading.
    fn again(&self, known: KnownContent) -> KnownContent {
        KnownContent {
            reading: self.reading,
            ..known
        }
    }

    /// Whether what is known is worth anything: content that is not larger than what is taken now.
    fn fits(&self, fetched: &Fetched) -> bool {
        matches!(fetched, Fetched::Content(content) if content.size <= self.most)
    }

    /// What the source gives; `None`: what is known already.
    async fn ask_source(&self, reference: &Reference, known: Option<&str>) -> Result<Option<KnownContent>, StepError> {
        let known_as = |fetched, version| KnownContent {
            fetched,
            version,
            reading: self.reading,
        };
        let mut broken = None;
        for _ in 0..TRIES {
            let body = match self.ask(reference, known).await? {
                Answer::Unchanged => return Ok(None),
                Answer::Refused(refused) => return Ok(Some(known_as(as_refused(refused), None))),
                Answer::Elsewhere(_) => {
                    let refused = Refused::not_allowed(&reference.place(), "redirects too often");
                    return Ok(Some(known_as(as_refused(refused), None)));
                }
                Answer::Body(body) => body,
            };
            let version = body.version.clone();
            match self.store(reference, body).await? {
                Stored::Whole(fetched) => return Ok(Some(known_as(fetched, version))),
                Stored::Broken(why) => broken = Some(why),
            }
        }
        let why = broken.unwrap_or_default();
        let message = format!("{} came but in part {TRIES} times: {why}", reference.place());
        let refused = Fetched::Refused {
            code: "Broken".to_owned(),
            message,
        };
        Ok(Some(known_as(refused, None)))
    }

    /// Asks, and goes where it is sent, as far as that is allowed.
    async fn ask(&self, reference: &Reference, known: Option<&str>) -> Result<Answer, SourceError> {
        let mut answer = self.ask_once(reference, known).await?;
        for _ in 0..HOPS {
            let Answer::Elsewhere(link) = answer else { break };
            answer = self.ask_once(&Reference::Link(link), known).await?;
        }
        Ok(answer)
    }

    async fn ask_once(&self, reference: &Reference, known: Option<&str>) -> Result<Answer, SourceError> {
        if let Some(answer) = self.source.content(reference, known).await? {
            return Ok(answer);
        }
        match reference {
            Reference::Link(link) => {
                let links = self.links.get_or_try_init(|| async { Links::new(&self.spec) }).await?;
                links.get(link, known).await
            }
            Reference::Name(_) => Ok(Answer::Refused(Refused {
                code: "NotFetched",
                message: format!("the source gives no content by the name {}", reference.place()),
            })),
        }
    }

    /// Bytes into the workspace.
    async fn store(&self, reference: &Reference, body: Body) -> Result<Stored, StepError> {
        let too_large = |size: u64| Fetched::Refused {
            code: "TooLarge".to_owned(),
            message: format!(
                "{} has {} {size} bytes, and {} are taken: source.content.maxMebibytes says how many",
                reference.place(),
                if body.length == Some(size) { "" } else { "more than" },
                self.most
            )
            .replace("  ", " "),
        };
        if let Some(length) = body.length.filter(|length| *length > self.most) {
            return Ok(Stored::Whole(too_large(length)));
        }
        let mut bytes = body.bytes;
        let mut writer = self.workspace.write_content();
        loop {
            let piece = match bytes.try_next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(SourceError::Unavailable { message, .. }) => {
                    writer.abandon().await;
                    return Ok(Stored::Broken(message));
                }
                Err(error) => {
                    writer.abandon().await;
                    return Err(error.into());
                }
            };
            writer.push(&piece).await?;
            if writer.size() > self.most {
                writer.abandon().await;
                return Ok(Stored::Whole(too_large(self.most)));
            }
        }
        if let Some(length) = body.length.filter(|length| *length != writer.size()) {
            let why = format!("{} bytes of {length}", writer.size());
            writer.abandon().await;
            return Ok(Stored::Broken(why));
        }
        Ok(Stored::Whole(Fetched::Content(writer.finish().await?)))
    }
}

/// What became of bytes that came.
enum Stored {
    /// All came, or more than are taken.
    Whole(Fetched),
    /// Not all came.
    Broken(String),
}

fn as_refused(refused: Refused) -> Fetched {
    Fetched::Refused {
        code: refused.code.to_owned(),
        message: refused.message,
    }
}

fn unasked(reference: &Reference) -> StepError {
    StepError::retry(
        FailureReason::SourceUnavailable,
        format!(
            "{}: the server says that it did not change, and nobody asked",
            reference.place()
        ),
    )
}

/// How content differs from the snapshot before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Names whose content changed.
    pub changed: i64,
    /// Anything is otherwise: names that came or went too.
    pub any: bool,
}

/// Fetches what the records of a snapshot name, and writes down what became of it beside them.
///
/// # Errors
/// When the source, the workspace or the scratch disk fails.
pub(super) async fn fetch_all(
    job: &Job,
    source: &dyn Source,
    mapping: &Mapping,
    writer: &mut SnapshotWriter,
    before: Option<&Manifest>,
) -> Result<Difference, StepError> {
    let objects: Vec<&Object> = mapping.objects.iter().filter(|object| object.fetches()).collect();
    let had_some = before.is_some_and(|before| before.objects.contains_key(CONTENT));
    let mut difference = Difference::default();
    if objects.is_empty() {
        difference.any = had_some;
        return Ok(difference);
    }
    let mut index = Index::create(&job.scratch)?;
    if let Some(before) = before {
        load_into(&mut index, BEFORE, &job.workspace, before).await?;
    }
    let (mut met, was) = (0, index.count(Kind::Content, BEFORE)?);
    let asking = Fetcher::begin(&job.workspace, source, job.migration.spec.source.content.as_ref()).await?;
    let manifest = writer.so_far()?;
    let mut lines = writer.object(CONTENT);
    for object in objects {
        joins::load(&mut index, &job.workspace, &manifest, object).await?;
        let mut records = job.workspace.read_object(&manifest, &object.source_object);
        while let Some(line) = records.next().await {
            let Line::Record(record) = line? else { continue };
            for name in names(&index, object, record)? {
                if !index.put_first(Kind::Content, NOW, name.as_bytes(), Vec::new())? {
                    continue;
                }
                let fetched = asking.fetch(&name).await?;
                match index.value::<Fetched>(Kind::Content, BEFORE, name.as_bytes())? {
                    Some(former) => difference.changed += i64::from(former != fetched),
                    None => difference.any = true,
                }
                lines.push(&Line::Record(line_of(&name, &fetched)?)).await?;
                met += 1;
                progress(job, met);
            }
        }
    }
    lines.finish().await?;
    asking.end().await?;
    difference.any |= difference.changed > 0 || met != was;
    Ok(difference)
}

/// Scopes of [`Kind::Content`].
const BEFORE: &str = "before";
const NOW: &str = "now";

fn names(index: &Index, object: &Object, record: Record) -> Result<Vec<String>, StepError> {
    // what cannot be joined is rejected when it is mapped
    let Ok(record) = joins::attach(index, object, record)? else {
        return Ok(Vec::new());
    };
    let items = object.items(&Arc::new(record)).into_iter();
    let names = items.filter_map(|step| match step {
        Step::Item(item) => Some(object.references(&item)),
        Step::Filtered | Step::Rejected { .. } => None,
    });
    Ok(names.flatten().collect())
}

fn progress(job: &Job, done: usize) {
    job.heart.update(|status| {
        "fetch".clone_into(&mut status.progress.step);
        status.progress.object.clear();
        status.progress.summary = format!("{done} contents fetched");
    });
}

fn line_of(name: &str, fetched: &Fetched) -> Result<Record, StepError> {
    let fetched = serde_json::to_value(fetched)
        .map_err(|error| StepError::permanent(FailureReason::Internal, error.to_string()))?;
    Ok(Record::from_iter([
        (NAME.to_owned(), Value::from(name)),
        (FETCHED.to_owned(), fetched),
    ]))
}

/// What became of the content that the object's records name, into the index.
///
/// # Errors
/// When the snapshot or the scratch disk fails.
pub async fn load(
    index: &mut Index,
    workspace: &Workspace,
    manifest: &Manifest,
    object: &Object,
) -> Result<(), StepError> {
    if object.fetches() {
        load_into(index, NOW, workspace, manifest).await?;
    }
    Ok(())
}

async fn load_into(
    index: &mut Index,
    scope: &str,
    workspace: &Workspace,
    manifest: &Manifest,
) -> Result<(), StepError> {
    if !manifest.objects.contains_key(CONTENT) {
        return Ok(());
    }
    let mut lines = workspace.read_object(manifest, CONTENT);
    while let Some(line) = lines.next().await {
        let Line::Record(mut record) = line? else { continue };
        let fetched = record.remove(FETCHED).map(serde_json::from_value::<Fetched>);
        let (Some(Value::String(name)), Some(Ok(fetched))) = (record.get(NAME), fetched) else {
            return Err(StepError::permanent(
                FailureReason::WorkspaceLost,
                "the snapshot does not say what became of a content: retry from-extract",
            ));
        };
        index.put(Kind::Content, scope, name.as_bytes(), encode(Kind::Content, &fetched)?)?;
    }
    Ok(())
}

/// What became of the content of a name.
///
/// # Errors
/// When the scratch disk fails.
pub fn known(index: &Index, name: &str) -> Result<Option<Fetched>, IndexError> {
    let bytes = index.get(Kind::Content, NOW, name.as_bytes())?;
    bytes.map(|bytes| decode(Kind::Content, &bytes)).transpose()
}

/// The content of a workspace, as it is sent.
pub(super) struct InWorkspace(pub Workspace);

#[async_trait]
impl Contents for InWorkspace {
    async fn base64(&self, content: &Content) -> Result<String, Unread> {
        self.0
            .content_as_base64(content)
            .await
            .map_err(|error| Unread(Box::new(error)))
    }
}

/// Why content could not be sent.
pub(super) fn unread(error: &Unread) -> StepError {
    match error.0.downcast_ref::<WorkspaceError>() {
        Some(WorkspaceError::Damaged { .. }) => StepError::configuration(
            FailureReason::WorkspaceLost,
            format!("{}: retry from-extract fetches it again", error.0),
        ),
        Some(_) | None => StepError::retry(FailureReason::WorkspaceNotWritable, error.0.to_string()),
    }
}
