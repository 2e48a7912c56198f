//! The lock. Against the Odoo in memory, and against the server at `ODOO_URL` when it is set, over each of
//! its APIs (see [`crate::real`]).

use std::sync::Arc;

use async_trait::async_trait;
use crmferry::{
    args,
    model::OdooModel,
    odoo::{
        lock::{self, Acquired, Beat, Holder},
        rpc::{Args, Rpc, RpcError},
    },
};
use serde_json::Value as Json;

use crate::corner::{odoos, unique};

/// The same server, with a lock of the test's own.
struct OwnLock(Arc<dyn Rpc>, String);

#[async_trait]
impl Rpc for OwnLock {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Json, RpcError> {
        let args = Json::Object(args).to_string().replace("crmferry.", &self.1);
        let answer = self.0.call(model, method, serde_json::from_str(&args).unwrap()).await?;
        Ok(serde_json::from_str(&answer.to_string().replace(&self.1, "crmferry.")).unwrap())
    }

    async fn version(&self) -> Result<String, RpcError> {
        self.0.version().await
    }
}

fn holder(uid: &str, now: jiff::Timestamp) -> Holder {
    Holder {
        cluster: "test".to_owned(),
        name: "crm/acme".to_owned(),
        uid: uid.to_owned(),
        run: 1,
        beat: now,
    }
}

#[tokio::test]
async fn of_twenty_who_want_the_lock_at_once_one_gets_it() {
    for rpc in odoos() {
        lock_race(rpc).await;
    }
}

async fn lock_race(rpc: Arc<dyn Rpc>) {
    let rpc: Arc<dyn Rpc> = Arc::new(OwnLock(rpc, format!("{}.", unique("crmferry_test"))));
    let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let later = start + jiff::SignedDuration::from_mins(11);
    let mut winners = Vec::new();
    // first nobody holds it, then the winner of the first round has aged out
    for (round, now) in [start, later].into_iter().enumerate() {
        let tries = (0..20).map(|n| {
            let (rpc, me) = (rpc.clone(), holder(&format!("{round}-{n}"), now));
            tokio::spawn(async move { (me.clone(), lock::acquire(&*rpc, &me, now, false).await.unwrap()) })
        });
        let tries: Vec<_> = tries.collect();
        let mut won = Vec::new();
        for attempt in tries {
            let (me, acquired) = attempt.await.unwrap();
            if let Acquired::Ours(held) = acquired {
                won.push((me, held));
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        winners.append(&mut won);
    }
    let ((old, lost), (new, held)) = (winners[0].clone(), winners[1].clone());
    assert_eq!(lock::beat(&*rpc, lost, &old, later).await, Ok(Beat::Lost));
    lock::release(&*rpc, lost).await.unwrap();
    let Beat::Held { wanted: Some(wanted) } = lock::beat(&*rpc, held, &new, later).await.unwrap() else {
        panic!("nineteen others wait");
    };
    assert!(!wanted.is_same(&new));
    assert!(matches!(lock::acquire(&*rpc, &new, later, false).await, Ok(Acquired::Ours(same)) if same == held));

    let models = [OdooModel("res.partner".to_owned())];
    let marks = lock::marks(&*rpc, "m", &models).await.unwrap();
    assert!(marks["res.partner"] > 0);
    let more = lock::marks(&*rpc, "m", &[models[0].clone(), OdooModel("crm.tag".to_owned())])
        .await
        .unwrap();
    assert_eq!((more["res.partner"], more.len()), (marks["res.partner"], 2));

    lock::release(&*rpc, held).await.unwrap();
    let args = args!({"domain": [["key", "in", ["crmferry.lock", "crmferry.lock.waiting", "crmferry.marks.m"]]]});
    let left = rpc.call("ir.config_parameter", "search", args).await.unwrap();
    assert_eq!(left.as_array().unwrap().len(), 2, "the wait and the marks");
    rpc.call("ir.config_parameter", "unlink", args!({"ids": left}))
        .await
        .unwrap();
}
