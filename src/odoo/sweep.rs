//! Orphans: records that a writer of ours made and no external id names. They must not exist.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{
    identity,
    models::is_custom,
    patience,
    rpc::{Rpc, RpcError},
    verify::{self, ReadRecord},
};
use crate::{
    args,
    mapping::TargetField,
    model::{Digest, OdooModel, OdooValue},
};

/// Records looked at in one call.
const PAGE: usize = 5_000;
/// Records taken away, or compared, in one call.
const CHUNK: usize = 500;

/// The user that the API key belongs to.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn whoami(rpc: &dyn Rpc) -> Result<i64, RpcError> {
    let context = patience::call(rpc, "res.users", "context_get", args!({})).await?;
    context
        .get("uid")
        .and_then(Json::as_i64)
        .ok_or_else(|| patience::odd("context_get"))
}

/// The highest id of each model, archived records included; 0 where there is none.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn marks(rpc: &dyn Rpc, models: &[OdooModel]) -> Result<BTreeMap<String, i64>, RpcError> {
    let mut marks = BTreeMap::new();
    for model in models {
        let highest = match search(rpc, &model.0, json!([]), "id desc", 1).await {
            // it will be made, and is empty then
            Err(RpcError::NotFound { .. }) if is_custom(&model.0) => Vec::new(),
            highest => highest?,
        };
        marks.insert(model.0.clone(), highest.first().copied().unwrap_or_default());
    }
    Ok(marks)
}

/// Records of the model made by the migration user above the mark, without an external id of any `crmferry_*` module,
/// and not the partner of a user. In the order of ids.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn orphans(rpc: &dyn Rpc, model: &str, above: i64, migration_uid: i64) -> Result<Vec<i64>, RpcError> {
    let (mut orphans, mut last) = (Vec::new(), above);
    loop {
        let mut domain = json!([["id", ">", last], ["create_uid", "=", migration_uid]]);
        if let ("ir.attachment", Some(domain)) = (model, domain.as_array_mut()) {
            // the others are the content of fields, and go with their records
            domain.push(json!(["res_field", "=", false]));
        }
        let page = search(rpc, model, domain, "id", PAGE).await?;
        let Some(end) = page.last() else { return Ok(orphans) };
        last = *end;
        let mut known = named(rpc, model, &page).await?;
        if model == "res.partner" {
            known.extend(of_users(rpc, &page).await?);
        }
        orphans.extend(page.into_iter().filter(|id| !known.contains(id)));
    }
}

/// Records of the model that this user made and another wrote to last.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn written_by_others(rpc: &dyn Rpc, model: &str, uid: i64) -> Result<Vec<i64>, RpcError> {
    let (mut found, mut last) = (Vec::new(), 0);
    loop {
        let domain = json!([["id", ">", last], ["create_uid", "=", uid], ["write_uid", "!=", uid]]);
        let page = search(rpc, model, domain, "id", PAGE).await?;
        let Some(end) = page.last() else { return Ok(found) };
        last = *end;
        found.extend(page);
    }
}

/// Those of the records left that Odoo itself wrote: what it tracks of changed fields is a message without a body, and what it
/// posts of them is one of the moment.
///
/// # Errors
/// When Odoo does not answer.
pub async fn odoos_own(rpc: &dyn Rpc, model: &str, left: &[i64]) -> Result<HashSet<i64>, RpcError> {
    if model != "mail.message" || left.is_empty() {
        return Ok(HashSet::new());
    }
    let domain = json!([["id", "in", left], ["message_type", "=", "notification"]]);
    let own = search(rpc, model, domain, "id", left.len()).await?;
    let fields = [("body", "html"), ("date", "datetime"), ("create_date", "datetime")];
    let fields = fields.map(|(name, ttype)| TargetField::new(name, ttype));
    let read = verify::read_back(rpc, model, &fields, &own).await?;
    Ok(read
        .into_iter()
        .filter(|(_, message)| is_odoos(message))
        .map(|(id, _)| id)
        .collect())
}

/// Seconds between the time that a message of Odoo's own has and the one at which it was made.
const AT_ONCE: i64 = 5;

fn is_odoos(message: &ReadRecord) -> bool {
    let time = |field: &str| match message.values.get(field) {
        Some(OdooValue::DateTime(text)) => format!("{}Z", text.replace(' ', "T")).parse::<Timestamp>().ok(),
        _ => None,
    };
    let is_of_the_moment = time("date")
        .zip(time("create_date"))
        .is_some_and(|(date, made)| (made.as_second() - date.as_second()).abs() <= AT_ONCE);
    message.values.get("body").is_none_or(verify::is_nothing) || is_of_the_moment
}

/// Odoo may leave out what the user may not read after it has counted to the limit (`mail.message` does): nothing found
/// means nothing only where the limit is far.
async fn search(rpc: &dyn Rpc, model: &str, domain: Json, order: &str, limit: usize) -> Result<Vec<i64>, RpcError> {
    let mut found = Vec::new();
    for limit in [limit, 1_000, 1_000_000].into_iter().filter(|wide| *wide >= limit) {
        let args = args!({"domain": domain, "order": order, "limit": limit, "context": {"active_test": false}});
        found = patience::ids(&patience::call(rpc, model, "search", args).await?, "search")?;
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

async fn named(rpc: &dyn Rpc, model: &str, ids: &[i64]) -> Result<HashSet<i64>, RpcError> {
    // whoever gave it a name knows of it
    let domain = json!([["model", "=", model], ["res_id", "in", ids]]);
    let args = args!({"domain": domain, "fields": ["res_id"]});
    let answer = patience::call(rpc, "ir.model.data", "search_read", args).await?;
    patience::rows(&answer, "search_read")?
        .into_iter()
        .map(|row| patience::integer(row, "res_id"))
        .collect()
}

async fn of_users(rpc: &dyn Rpc, partners: &[i64]) -> Result<Vec<i64>, RpcError> {
    let args = args!({
        "domain": [["partner_id", "in", partners]], "fields": ["partner_id"], "load": null,
        "context": {"active_test": false},
    });
    let answer = patience::call(rpc, "res.users", "search_read", args).await?;
    let partner = |row: &serde_json::Map<String, Json>| verify::link(row.get("partner_id")?);
    Ok(patience::rows(&answer, "search_read")?
        .into_iter()
        .filter_map(partner)
        .collect())
}

/// What became of orphans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Twins that nobody touched: taken away.
    pub removed: Vec<i64>,
    /// The others: findings.
    pub left: Vec<i64>,
}

/// Takes away the orphans that are twins: the same mapped content as a record of this object, and no person wrote them.
/// Two writers may have left the ledger with the id of either: read the external ids again after a removal.
///
/// # Errors
/// When Odoo does not answer, or refuses to be read. An orphan that Odoo does not let go is left.
pub async fn remove_twins(
    rpc: &dyn Rpc,
    model: &str,
    fields: &[TargetField],
    (module, object): (&str, &str),
    orphans: &[i64],
    migration_uid: i64,
) -> Result<Swept, RpcError> {
    let mut swept = Swept::default();
    if orphans.is_empty() {
        return Ok(swept);
    }
    let read = verify::read_back(rpc, model, fields, orphans).await?;
    let untouched: BTreeMap<i64, Digest> = read
        .into_iter()
        .filter(|(_, record)| record.write_uid == migration_uid)
        .map(|(id, record)| (id, content(&record)))
        .collect();
    let wanted: HashSet<&Digest> = untouched.values().collect();
    let mut seen = HashSet::new();
    for chunk in identity::find_all(rpc, module, object, model).await?.chunks(PAGE) {
        let ids: Vec<i64> = chunk.iter().map(|identity| identity.res_id).collect();
        let ours = verify::read_back(rpc, model, fields, &ids).await?;
        seen.extend(ours.values().map(content).filter(|digest| wanted.contains(digest)));
    }
    let twins: Vec<i64> = untouched
        .iter()
        .filter(|(_, digest)| seen.contains(digest))
        .map(|(id, _)| *id)
        .collect();
    for chunk in twins.chunks(CHUNK) {
        swept.removed.extend(unlink(rpc, model, chunk).await?);
    }
    let removed: BTreeSet<i64> = swept.removed.iter().copied().collect();
    swept.left = orphans.iter().filter(|id| !removed.contains(id)).copied().collect();
    Ok(swept)
}

fn content(record: &ReadRecord) -> Digest {
    Digest::of(json!(record.values).to_string().as_bytes())
}

/// Takes records away: together, or, where one of them does not go, each by itself. Gives those that are gone.
///
/// # Errors
/// When Odoo does not answer, or refuses to be read.
pub async fn unlink(rpc: &dyn Rpc, model: &str, ids: &[i64]) -> Result<Vec<i64>, RpcError> {
    let together = vec![ids.to_vec()];
    let each: Vec<Vec<i64>> = ids.iter().map(|id| vec![*id]).collect();
    for calls in [together, each] {
        let mut refused = false;
        for ids in calls {
            match patience::call(rpc, model, "unlink", args!({"ids": ids})).await {
                Ok(_) => {}
                Err(RpcError::Rejected { .. } | RpcError::Missing { .. }) => refused = true,
                Err(error) => return Err(error),
            }
        }
        if !refused {
            break;
        }
    }
    let there = identity::existing(rpc, model, ids).await?;
    Ok(ids.iter().filter(|id| !there.contains(id)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::odoo::fake::Fake;

    #[tokio::test]
    async fn an_orphan_is_ours_above_the_mark_nameless_and_no_users_partner() {
        let odoo = Fake::default();
        odoo.put("res.partner", &json!({"name": "before"}));
        let above = marks(&odoo, &[OdooModel("res.partner".to_owned())]).await.unwrap()["res.partner"];
        let orphan = odoo.put("res.partner", &json!({"name": "orphan", "active": false}));
        odoo.put("res.partner", &json!({"name": "a person's", "create_uid": 7}));
        let partner = odoo.put("res.partner", &json!({"name": "a user's"}));
        odoo.put("res.users", &json!({"partner_id": partner}));
        let known = odoo.put("res.partner", &json!({"name": "known"}));
        let other = odoo.put("res.partner", &json!({"name": "named by another tool"}));
        for (module, id) in [("crmferry_pega_x", known), ("crmferryx", other)] {
            odoo.put(
                "ir.model.data",
                &json!({"module": module, "name": "a", "model": "res.partner", "res_id": id}),
            );
        }
        let me = whoami(&odoo).await.unwrap();
        assert_eq!(orphans(&odoo, "res.partner", above, me).await, Ok(vec![orphan]));
    }

    /// An Odoo that leaves out of a search what the user may not read, after it has counted to the limit.
    struct Blind(Fake, i64);

    #[async_trait::async_trait]
    impl Rpc for Blind {
        async fn call(&self, model: &str, method: &str, args: crate::odoo::rpc::Args) -> Result<Json, RpcError> {
            let mut answer = self.0.call(model, method, args).await?;
            if let Some(ids) = answer.as_array_mut().filter(|_| method == "search") {
                ids.retain(|id| id.as_i64() < Some(self.1));
            }
            Ok(answer)
        }

        async fn version(&self) -> Result<String, RpcError> {
            self.0.version().await
        }
    }

    #[tokio::test]
    async fn the_mark_is_the_highest_record_that_can_be_read_however_many_above_it_cannot() {
        let odoo = Fake::default();
        let ids: Vec<i64> = (0..40)
            .map(|_| odoo.put("mail.message", &json!({"body": "x"})))
            .collect();
        let blind = Blind(odoo, ids[10]);
        let marks = marks(&blind, &[OdooModel("mail.message".to_owned())]).await.unwrap();
        assert_eq!(marks["mail.message"], ids[9]);
        assert_eq!(orphans(&blind, "mail.message", 0, 2).await.unwrap().len(), 10);
        assert_eq!(orphans(&blind, "mail.message", ids[9], 2).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn what_odoo_tracks_of_changed_fields_is_its_own_word() {
        let odoo = Fake::default();
        let said =
            |body: &str, kind: &str| json!({"model": "res.partner", "res_id": 1, "body": body, "message_type": kind});
        let all = [
            said("", "notification"),
            said("<p>x</p>", "notification"),
            said("", "comment"),
        ];
        let made = odoo
            .call("mail.message", "create", args!({"vals_list": all}))
            .await
            .unwrap();
        let mut ids: Vec<i64> = made.as_array().unwrap().iter().filter_map(Json::as_i64).collect();
        // what it posts has the time at which it is posted
        for seconds in [3, 3_600] {
            let time = |at: i64| {
                Timestamp::from_second(1_790_000_000 + at)
                    .unwrap()
                    .strftime("%F %T")
                    .to_string()
            };
            let mut posted = said("<p>y</p>", "notification");
            posted["create_date"] = json!(time(seconds));
            posted["date"] = json!(time(0));
            ids.push(odoo.put("mail.message", &posted));
        }
        let own = odoos_own(&odoo, "mail.message", &ids).await.unwrap();
        let rows = odoo.call(
            "mail.message",
            "search_read",
            args!({"domain": [["id", "in", ids]], "fields": ["body", "message_type"]}),
        );
        assert_eq!(own, HashSet::from([ids[0], ids[3]]), "{:?}", rows.await);
        assert!(odoos_own(&odoo, "crm.lead", &ids).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_twin_goes_and_one_that_differs_is_used_or_was_touched_stays() {
        let odoo = Fake::default();
        let put = |name: &str, uid: i64, kept: bool| {
            odoo.put("crm.tag", &json!({"name": name, "write_uid": uid, "kept": kept}))
        };
        let ours = put("a", 2, false);
        odoo.put(
            "ir.model.data",
            &json!({"module": "m", "name": "tags_1", "model": "crm.tag", "res_id": ours}),
        );
        let [twin, other, touched, used] = [
            put("a", 2, false),
            put("b", 2, false),
            put("a", 7, false),
            put("a", 2, true),
        ];
        let fields = [TargetField::new("name", "char")];
        let orphans = [twin, other, touched, used];
        let swept = remove_twins(&odoo, "crm.tag", &fields, ("m", "tags"), &orphans, 2)
            .await
            .unwrap();
        assert_eq!((swept.removed, swept.left), (vec![twin], vec![other, touched, used]));
        assert_eq!(
            remove_twins(&odoo, "crm.tag", &fields, ("m", "tags"), &[], 2).await,
            Ok(Swept::default())
        );
    }
}
