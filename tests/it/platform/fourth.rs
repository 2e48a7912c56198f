//! A connector as a new platform needs one: what its API is like, and nothing else.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use crmferry::{
    http::{self, Secret},
    model::{DeclaredField, DeclaredType, Rejection},
    source::{Connector, Item, Items, Opening, Sample, See, Source, SourceError, SourceObject, wire::Wire},
};
use futures::{StreamExt, stream};
use reqwest::Url;
use serde_json::Value;

pub const CONNECTOR: Connector = Connector {
    name: "fourth",
    objects: &["person"],
    open: |opening| Some(open(opening).map(|api| Arc::new(api) as Arc<dyn Source>)),
};

#[derive(Clone)]
struct Fourth {
    wire: Arc<Wire>,
    base: Url,
    token: Secret,
}

fn open(opening: &Opening<'_>) -> Result<Fourth, SourceError> {
    let unusable = |message| SourceError::Unusable {
        place: "source.fourth".into(),
        message,
    };
    let token = opening.secret("token")?;
    let url = std::fs::read_to_string(opening.secrets.join("url")).unwrap_or_default();
    let wire = Wire::new(true, 60_000, std::slice::from_ref(&token)).map_err(unusable)?;
    Ok(Fourth {
        wire: Arc::new(wire),
        base: http::base_url(url.trim(), true, "https://fourth.example").map_err(unusable)?,
        token,
    })
}

impl Fourth {
    /// Pages of `{"people": [...], "after": id}`.
    async fn page(&self, after: &str) -> Result<(Vec<Value>, Option<String>), SourceError> {
        let mut url = http::below(&self.base, &["people"]);
        url.query_pairs_mut().append_pair("after", after);
        let answer = self
            .wire
            .get(|| self.wire.client.get(url.clone()).bearer_auth(self.token.word()))
            .await;
        let body = answer.map_err(|refusal| SourceError::Unavailable {
            place: self.base.to_string(),
            message: refusal.words(),
        })?;
        let page: Value = serde_json::from_str(&body).unwrap_or_default();
        let people = page["people"].as_array().cloned().unwrap_or_default();
        Ok((people, page["after"].as_str().map(str::to_owned)))
    }
}

#[async_trait]
impl Source for Fourth {
    async fn objects(&self) -> Result<Vec<SourceObject>, SourceError> {
        Ok(vec![SourceObject {
            name: "person".into(),
            place: self.base.to_string(),
            live: true,
            ways: std::collections::BTreeSet::new(),
            ..SourceObject::default()
        }])
    }

    async fn sample(&self, _: &str, most: usize, _: Option<See<'_>>) -> Result<Sample, SourceError> {
        let (people, after) = self.page("").await?;
        let records = people.into_iter().filter_map(|person| person.as_object().cloned());
        let records: Vec<_> = records.take(most).collect();
        let level = DeclaredField {
            name: "level".into(),
            label: "Level".into(),
            kind: Some(DeclaredType::Number),
        };
        Ok(Sample {
            count: i64::try_from(records.len()).unwrap_or(i64::MAX),
            exact: after.is_none(),
            custom: vec![level],
            records,
            broken: None,
        })
    }

    async fn read(&self, object: &str) -> Result<Items, SourceError> {
        if object != "person" {
            return Err(SourceError::Missing { place: object.into() });
        }
        let start = (self.clone(), VecDeque::new(), Some(String::new()));
        Ok(stream::try_unfold(start, |(api, mut rows, mut next)| async move {
            while rows.is_empty() {
                let Some(after) = next.take() else { return Ok(None) };
                let (people, further) = api.page(&after).await?;
                rows.extend(people);
                next = further;
            }
            let item = rows.pop_front().map(|row| match row {
                Value::Object(record) => Item::Record(record),
                _ => Item::Broken(Rejection::new("BrokenRow", "person", "a row that is no record")),
            });
            Ok(item.map(|item| (item, (api, rows, next))))
        })
        .boxed())
    }
}
