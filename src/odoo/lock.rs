//! One writer per destination: a lock in Odoo's `ir.config_parameter`, and the marks that belong to it.
//!
//! The key of a parameter is unique, so `create` is compare-and-set; a `write` by id is one too as long as taking over
//! means `unlink` by the id that was read, then `create`: the id of a lock that was taken over is gone.
//! Three keys: `crmferry.lock` (who writes), `crmferry.lock.waiting` (who would like to; its own key, so that a beat
//! overwrites no wait), `crmferry.marks.<module>` (written once under the lock; outlives it).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    patience,
    rpc::{Rpc, RpcError},
    sweep,
};
use crate::{args, model::OdooModel};

const PARAMETER: &str = "ir.config_parameter";
const LOCK: &str = "crmferry.lock";
const WAITING: &str = "crmferry.lock.waiting";
/// A lock, or a wait, that was not beaten for this long counts no more.
pub const AGES_OUT: SignedDuration = SignedDuration::from_mins(10);
/// Tries against others who want it at the same moment.
const TRIES: usize = 10;

/// Who holds the lock, or waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Cluster, or host and user.
    pub cluster: String,
    /// `<namespace>/<name>` of the Migration.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its run.
    pub run: i64,
    /// The last sign of life.
    pub beat: Timestamp,
}

impl Holder {
    /// The same Migration, whatever its run.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.uid == other.uid && self.name == other.name
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.beat) < AGES_OUT
    }
}

/// The lock, held: the id of its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held(i64);

/// What asking for the lock gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is ours.
    Ours(Held),
    /// It is another's; our wait is recorded.
    HeldBy(Box<Holder>),
}

/// What a beat found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Still ours.
    Held {
        /// Another Migration waits for it: give it back at the end of the Job.
        wanted: Option<Box<Holder>>,
    },
    /// It was taken over: write nothing any more.
    Lost,
}

/// A parameter as read: its id, and its value if it can be read.
type Seen = (i64, Option<Holder>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create,
    Refresh(i64),
    TakeOver(i64),
    Wait(Box<Holder>),
}

fn next(seen: Option<Seen>, me: &Holder, now: Timestamp, unlock: bool) -> Step {
    match seen {
        None => Step::Create,
        Some((id, Some(holder))) if holder.is_same(me) => Step::Refresh(id),
        Some((id, _)) if unlock => Step::TakeOver(id),
        Some((id, Some(holder))) if !holder.is_fresh(now) => Step::TakeOver(id),
        Some((_, Some(holder))) => Step::Wait(Box::new(holder)),
        Some((_, None)) => Step::Wait(Box::new(Holder {
            cluster: String::new(),
            name: format!("unreadable value of {LOCK}"),
            uid: String::new(),
            run: 0,
            beat: now,
        })),
    }
}

/// Takes the lock, or refreshes it where it is ours already; records our wait where it is another's. `unlock` takes it
/// whoever holds it.
///
/// # Errors
/// When Odoo does not answer, or refuses; [`RpcError::Conflict`] when others kept getting in between.
pub async fn acquire(rpc: &dyn Rpc, me: &Holder, now: Timestamp, unlock: bool) -> Result<Acquired, RpcError> {
    let me = Holder {
        beat: now,
        ..me.clone()
    };
    for _ in 0..TRIES {
        let seen = read(rpc).await?;
        match next(seen.lock, &me, now, unlock) {
            Step::Create => {}
            Step::Refresh(id) => {
                if write(rpc, id, &me).await? {
                    return won(rpc, Held(id), seen.waiting, &me).await;
                }
                continue;
            }
            Step::TakeOver(id) => unlink(rpc, id).await?,
            Step::Wait(holder) => {
                wait(rpc, seen.waiting, &me).await?;
                return Ok(Acquired::HeldBy(holder));
            }
        }
        if let Some(id) = create(rpc, LOCK, &value(&me)).await? {
            return won(rpc, Held(id), seen.waiting, &me).await;
        }
    }
    Err(RpcError::Conflict)
}

/// Says that we live. Must be called well within 10 minutes of the last.
///
/// # Errors
/// When Odoo does not answer, or refuses: whether the lock is still ours is unknown then.
pub async fn beat(rpc: &dyn Rpc, held: Held, me: &Holder, now: Timestamp) -> Result<Beat, RpcError> {
    let me = Holder {
        beat: now,
        ..me.clone()
    };
    if !write(rpc, held.0, &me).await? {
        return Ok(Beat::Lost);
    }
    let waiting = read(rpc).await?.waiting.and_then(|(_, holder)| holder);
    let wanted = waiting
        .filter(|other| !other.is_same(&me) && other.is_fresh(now))
        .map(Box::new);
    Ok(Beat::Held { wanted })
}

/// Gives the lock back. One that was taken over meanwhile stays with its new holder.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn release(rpc: &dyn Rpc, held: Held) -> Result<(), RpcError> {
    unlink(rpc, held.0).await
}

/// The marks of a migration: per model its highest id before the first write. Call under the lock, before the first
/// write of a run: what is marked stays, a model without a mark gets one now.
///
/// # Errors
/// When Odoo does not answer, or refuses; when the marks kept cannot be read.
pub async fn marks(rpc: &dyn Rpc, module: &str, models: &[OdooModel]) -> Result<BTreeMap<String, i64>, RpcError> {
    let key = format!("crmferry.marks.{module}");
    let (id, mut marks) = match parameters(rpc, &[&key]).await?.pop() {
        None => (None, BTreeMap::new()),
        Some((id, _, text)) => {
            let kept = serde_json::from_str::<BTreeMap<String, i64>>(&text);
            (Some(id), kept.map_err(|_| patience::odd(&key))?)
        }
    };
    let new: Vec<OdooModel> = models
        .iter()
        .filter(|model| !marks.contains_key(&model.0))
        .cloned()
        .collect();
    if !new.is_empty() {
        marks.extend(sweep::marks(rpc, &new).await?);
        let text = json!(marks).to_string();
        match id {
            Some(id) => {
                let args = args!({"ids": [id], "vals": {"value": text}});
                patience::call(rpc, PARAMETER, "write", args).await?;
            }
            None => {
                create(rpc, &key, &text).await?;
            }
        }
    }
    Ok(marks)
}

struct State {
    lock: Option<Seen>,
    waiting: Option<Seen>,
}

async fn read(rpc: &dyn Rpc) -> Result<State, RpcError> {
    let mut state = State {
        lock: None,
        waiting: None,
    };
    for (id, key, value) in parameters(rpc, &[LOCK, WAITING]).await? {
        let seen = Some((id, serde_json::from_str(&value).ok()));
        if key == LOCK {
            state.lock = seen;
        } else {
            state.waiting = seen;
        }
    }
    Ok(state)
}

async fn parameters(rpc: &dyn Rpc, keys: &[&str]) -> Result<Vec<(i64, String, String)>, RpcError> {
    let args = args!({"domain": [["key", "in", keys]], "fields": ["key", "value"]});
    let answer = patience::call(rpc, PARAMETER, "search_read", args).await?;
    patience::rows(&answer, "search_read")?
        .into_iter()
        .map(|row| {
            let (key, value) = (patience::text(row, "key"), patience::text(row, "value"));
            Ok((patience::integer(row, "id")?, key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn value(holder: &Holder) -> String {
    json!(holder).to_string()
}

/// `None`: another was first, or nobody knows; look again.
async fn create(rpc: &dyn Rpc, key: &str, value: &str) -> Result<Option<i64>, RpcError> {
    match rpc
        .call(
            PARAMETER,
            "create",
            args!({"vals_list": [{"key": key, "value": value}]}),
        )
        .await
    {
        Ok(answer) => Ok(patience::ids(&answer, "create")?.first().copied()),
        Err(RpcError::Rejected { .. } | RpcError::Conflict | RpcError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `false`: the parameter is gone.
async fn write(rpc: &dyn Rpc, id: i64, holder: &Holder) -> Result<bool, RpcError> {
    let args = args!({"ids": [id], "vals": {"value": value(holder)}});
    gone(patience::call(rpc, PARAMETER, "write", args).await)
}

async fn unlink(rpc: &dyn Rpc, id: i64) -> Result<(), RpcError> {
    gone(patience::call(rpc, PARAMETER, "unlink", args!({"ids": [id]})).await).map(|_| ())
}

fn gone(answer: Result<Json, RpcError>) -> Result<bool, RpcError> {
    match answer {
        Ok(_) => Ok(true),
        Err(RpcError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// It is ours: our own wait is over.
async fn won(rpc: &dyn Rpc, held: Held, waiting: Option<Seen>, me: &Holder) -> Result<Acquired, RpcError> {
    if let Some((id, Some(other))) = waiting
        && other.is_same(me)
    {
        unlink(rpc, id).await?;
    }
    Ok(Acquired::Ours(held))
}

async fn wait(rpc: &dyn Rpc, waiting: Option<Seen>, me: &Holder) -> Result<(), RpcError> {
    match waiting {
        Some((id, _)) => write(rpc, id, me).await.map(|_| ()),
        None => create(rpc, WAITING, &value(me)).await.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::odoo::fake::{Fake, Fault, lost};

    fn holder(uid: &str, beat: Timestamp) -> Holder {
        Holder {
            cluster: "c".to_owned(),
            name: "crm/acme".to_owned(),
            uid: uid.to_owned(),
            run: 1,
            beat,
        }
    }

    #[test]
    fn a_lock_is_refreshed_waited_for_or_taken_over_when_it_aged_out() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let (old, fresh) = (
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "2026-01-01T00:00:01Z".parse().unwrap(),
        );
        let me = holder("me", now);
        for (seen, unlock, step) in [
            (None, false, Step::Create),
            (Some((1, Some(holder("me", old)))), false, Step::Refresh(1)),
            (Some((1, Some(holder("me", old)))), true, Step::Refresh(1)),
            (Some((1, Some(holder("you", old)))), false, Step::TakeOver(1)),
            (
                Some((1, Some(holder("you", fresh)))),
                false,
                Step::Wait(Box::new(holder("you", fresh))),
            ),
            (Some((1, Some(holder("you", fresh)))), true, Step::TakeOver(1)),
            (Some((1, None)), true, Step::TakeOver(1)),
        ] {
            assert_eq!(next(seen.clone(), &me, now, unlock), step, "{seen:?} {unlock}");
        }
        let Step::Wait(unreadable) = next(Some((1, None)), &me, now, false) else {
            panic!("must wait")
        };
        assert!(unreadable.name.contains("unreadable"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_whose_answer_was_lost_is_ours_and_a_wait_ends_when_it_is_won() {
        let (odoo, now) = (Fake::default(), "2026-01-01T00:00:00Z".parse().unwrap());
        let (me, you) = (holder("me", now), holder("you", now));
        odoo.fail("ir.config_parameter.create", [Fault::After(lost())]);
        let Acquired::Ours(held) = acquire(&odoo, &me, now, false).await.unwrap() else {
            panic!("free")
        };
        assert_eq!(
            acquire(&odoo, &you, now, false).await,
            Ok(Acquired::HeldBy(Box::new(me.clone())))
        );
        let wanted = Some(Box::new(you.clone()));
        assert_eq!(beat(&odoo, held, &me, now).await, Ok(Beat::Held { wanted }));
        release(&odoo, held).await.unwrap();
        release(&odoo, held).await.unwrap();
        let Acquired::Ours(held) = acquire(&odoo, &you, now, false).await.unwrap() else {
            panic!("given back")
        };
        assert_eq!(beat(&odoo, held, &you, now).await, Ok(Beat::Held { wanted: None }));
        assert_eq!(odoo.all("ir.config_parameter").len(), 1, "the wait is over");
        assert!(matches!(acquire(&odoo, &me, now, true).await, Ok(Acquired::Ours(_))));
        assert_eq!(beat(&odoo, held, &you, now).await, Ok(Beat::Lost));
    }

    #[tokio::test]
    async fn a_mark_once_made_stays() {
        let odoo = Fake::default();
        let models = |names: &[&str]| {
            names
                .iter()
                .map(|name| OdooModel((*name).to_owned()))
                .collect::<Vec<_>>()
        };
        let first = odoo.put("crm.tag", &json!({"name": "a"}));
        assert_eq!(
            marks(&odoo, "m", &models(&["crm.tag"])).await.unwrap()["crm.tag"],
            first
        );
        let second = odoo.put("crm.lead", &json!({"name": "a"}));
        odoo.put("crm.tag", &json!({"name": "b"}));
        let both = marks(&odoo, "m", &models(&["crm.tag", "crm.lead"])).await.unwrap();
        assert_eq!((both["crm.tag"], both["crm.lead"]), (first, second));
        assert_eq!(marks(&odoo, "m", &models(&["crm.lead"])).await.unwrap(), both);
    }
}
