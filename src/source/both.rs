//! An API and export files together. Where both have an object the API answers, since it is live; a file answers for what
//! the API lacks.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use super::{
    Items, Note, Preflight, Sample, See, Source, SourceError, SourceObject, Ways,
    content::{Answer, Reference},
    files::FilesSource,
};
use crate::api::mapping_spec::{Finding, Severity};

/// An API and export files.
pub struct Both {
    /// Asked first.
    pub api: Arc<dyn Source>,
    /// Asked for the rest.
    pub files: FilesSource,
}

impl Both {
    async fn offered(&self) -> Result<BTreeSet<String>, SourceError> {
        let objects = self.api.objects().await?;
        Ok(objects.into_iter().map(|object| object.name).collect())
    }
}

#[async_trait]
impl Source for Both {
    async fn objects(&self) -> Result<Vec<SourceObject>, SourceError> {
        let mut objects = self.api.objects().await?;
        let offered: BTreeSet<String> = objects.iter().map(|object| object.name.clone()).collect();
        let files = self.files.objects().await?;
        objects.extend(files.into_iter().filter(|file| !offered.contains(&file.name)));
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    async fn preflight(&self) -> Result<Preflight, SourceError> {
        let mut preflight = self.api.preflight().await?;
        let offered = self.offered().await?;
        for file in self.files.objects().await? {
            preflight.lacking.retain(|lacking| lacking.name != file.name);
            if offered.contains(&file.name) {
                preflight.findings.push(Finding {
                    severity: Severity::Warning,
                    code: "FileUnused".into(),
                    path: format!("source[{}]", file.name),
                    message: format!(
                        "{} is not read, since the API offers {}: leave the file out of the next push",
                        file.place, file.name
                    ),
                });
            }
        }
        Ok(preflight)
    }

    async fn sample(&self, object: &str, most: usize, see: Option<See<'_>>) -> Result<Sample, SourceError> {
        if self.offered().await?.contains(object) {
            self.api.sample(object, most, see).await
        } else {
            self.files.sample(object, most, see).await
        }
    }

    async fn read(&self, object: &str) -> Result<Items, SourceError> {
        if self.offered().await?.contains(object) {
            self.api.read(object).await
        } else {
            self.files.read(object).await
        }
    }

    async fn content(&self, reference: &Reference, known: Option<&str>) -> Result<Option<Answer>, SourceError> {
        match self.api.content(reference, known).await? {
            None => self.files.content(reference, known).await,
            answer => Ok(answer),
        }
    }

    fn pin(&self, offered: &Ways) {
        self.api.pin(offered);
    }

    fn notes(&self) -> Vec<Note> {
        self.api.notes()
    }

    fn trouble(&self) -> Option<String> {
        self.api.trouble()
    }
}
