//! Everything above the wire: identities, writes, read-back, sweep, lock, custom fields. Against the Odoo in memory, and
//! against the server at `ODOO_URL` when it is set, over each of its APIs (see [`crate::real`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use crmferry::{
    api::mapping_spec::{Access, FieldType},
    args,
    mapping::{CustomField, CustomModel, LineFields, TargetField},
    model::{ExternalId, Line, OdooModel, OdooValue, Reference, SourceKey},
    odoo::{
        conflict, custom_models, identity,
        lines::{self, LineOp},
        lock::{self, Acquired, Beat, Holder},
        memory::Memory,
        remove,
        rpc::{Args, Rpc, RpcError},
        schema::{self, Ensured},
        sweep,
        upsert::{Done, Op, Write, Writer, Written},
        verify::{self, Comparison},
    },
};
use serde_json::{Value as Json, json};

use crate::real;

/// The Odoos to try: the one in memory, and the real one where there is one, over each of its APIs.
pub(crate) fn odoos() -> Vec<Arc<dyn Rpc>> {
    let mut all: Vec<Arc<dyn Rpc>> = vec![Arc::new(Memory::new())];
    if let Some(server) = real::server() {
        all.extend([server.json2(), server.xml_rpc()]);
    }
    all
}

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}{nanos}")
}

fn fields(list: &[(&str, &str)]) -> Vec<TargetField> {
    let field = |(name, ttype): &(&str, &str)| TargetField {
        name: (*name).to_owned(),
        ttype: (*ttype).to_owned(),
    };
    list.iter().map(field).collect()
}

fn text(text: &str) -> OdooValue {
    OdooValue::Text(text.to_owned())
}

fn values(list: &[(&str, OdooValue)]) -> Vec<(String, OdooValue)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// One test's corner of the server: its own external ids, swept away at the end.
struct Corner {
    rpc: Arc<dyn Rpc>,
    module: String,
}

impl Corner {
    fn new(rpc: Arc<dyn Rpc>) -> Self {
        Self {
            rpc,
            module: unique("crmferry_test_"),
        }
    }

    async fn write(&self, object: &str, model: &str, ops: Vec<(&str, Op)>) -> Done {
        let batch = ops.into_iter().map(|(key, op)| {
            let key = SourceKey(key.to_owned());
            Write {
                external_id: ExternalId::of(&self.module, object, &key),
                key,
                op,
            }
        });
        let writer = Writer::new(self.rpc.clone(), OdooModel(model.to_owned()), self.module.clone());
        writer.write(batch.collect(), &|| true).await.unwrap()
    }

    async fn create(&self, object: &str, model: &str, list: &[(&str, OdooValue)]) -> i64 {
        let done = self.write(object, model, vec![("1", Op::Create(values(list)))]).await;
        let Written::Created(id) = done[0].1 else {
            panic!("{done:?}")
        };
        id
    }

    async fn call(&self, model: &str, method: &str, args: Args) -> Json {
        self.rpc.call(model, method, args).await.unwrap()
    }

    /// Takes away what has an external id of this corner; leads before teams before partners.
    async fn leave(self) {
        let args = args!({"domain": [["module", "=", self.module]], "fields": ["model", "res_id"]});
        let found = self.call("ir.model.data", "search_read", args).await;
        let mut by_model: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for row in found.as_array().unwrap() {
            by_model
                .entry(row["model"].as_str().unwrap())
                .or_default()
                .push(row["res_id"].as_i64().unwrap());
        }
        for (model, ids) in by_model {
            self.call(model, "unlink", args!({"ids": ids, "context": {"active_test": false}}))
                .await;
        }
    }
}

#[tokio::test]
async fn records_are_made_changed_adopted_and_read_back() {
    for rpc in odoos() {
        ferry(rpc).await;
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one story: every step needs what the one before left"
)]
async fn ferry(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let tag = corner
        .create("tags", "res.partner.category", &[("name", text(&unique("tag ")))])
        .await;
    let other = corner
        .write(
            "more",
            "res.partner.category",
            vec![("1", Op::Create(values(&[("name", text(&unique("other ")))])))],
        )
        .await;
    let Written::Created(other) = other[0].1 else {
        panic!("{other:?}")
    };
    let company = corner
        .create(
            "companies",
            "res.partner",
            &[
                ("name", text("Ação Ltda 🚢")),
                ("is_company", OdooValue::Boolean(true)),
                ("street", text("Rua da Empresa 1")),
            ],
        )
        .await;
    let wanted = values(&[
        ("name", text("Zé \r\n da Silva ")),
        ("parent_id", OdooValue::Link(Reference::Id(company))),
        ("street", text("Rua do Zé 2")),
        ("website", text("www.ze.br/x?y=1")),
        ("comment", text("a <b>b</b> & c <script>alert(1)</script>")),
        ("partner_latitude", OdooValue::Float(-23.550_520_123_456)),
        ("color", OdooValue::Empty),
        ("active", OdooValue::Boolean(false)),
        ("category_id", OdooValue::Links(vec![Reference::Id(tag)])),
        ("vat", OdooValue::Empty),
    ]);
    let types = fields(&[
        ("name", "char"),
        ("parent_id", "many2one"),
        ("street", "char"),
        ("website", "char"),
        ("comment", "html"),
        ("partner_latitude", "float"),
        ("color", "integer"),
        ("active", "boolean"),
        ("category_id", "many2many"),
        ("vat", "char"),
    ]);
    let rows: Vec<(String, Op)> = (0..40)
        .map(|row| (row.to_string(), Op::Create(wanted.clone())))
        .collect();
    let bad = Op::Create(values(&[("name", text("bad")), ("type", text("nonsense"))]));
    let rows = rows
        .iter()
        .map(|(key, op)| (key.as_str(), op.clone()))
        .chain([("bad", bad)])
        .collect();
    let done = corner.write("contacts", "res.partner", rows).await;
    let ids: Vec<i64> = done
        .iter()
        .filter_map(|(_, written)| {
            if let Written::Created(id) = written {
                Some(*id)
            } else {
                None
            }
        })
        .collect();
    assert_eq!((done.len(), ids.len()), (41, 40), "{done:?}");
    assert!(
        done.iter()
            .any(|(key, written)| key.0 == "bad" && matches!(written, Written::Failed(_)))
    );
    assert_eq!(
        identity::count_present(&*corner.rpc, &corner.module, "contacts", "res.partner").await,
        Ok(40)
    );

    let me = sweep::whoami(&*corner.rpc).await.unwrap();
    let read = verify::read_back(&*corner.rpc, "res.partner", &types, &ids)
        .await
        .unwrap();
    assert_eq!(read.len(), 40, "archived ones too");
    let page = verify::page(&*corner.rpc, "res.partner", &types, ids[0] - 1, 40)
        .await
        .unwrap();
    assert_eq!(page, read);
    let first = &read[&ids[0]];
    assert_eq!(first.write_uid, me);
    for ((name, wanted), field) in wanted.iter().zip(&types) {
        let is = verify::compare(field, "res.partner", wanted, &first.values[name]);
        let should = match name.as_str() {
            "website" => Comparison::Explained("Normalised"),
            "comment" => Comparison::Explained("Sanitised"),
            // the one in memory does not know the digits of a field
            "partner_latitude" if is == Comparison::Equal => is,
            "partner_latitude" => Comparison::Explained("Rounded"),
            _ => Comparison::Equal,
        };
        assert_eq!(is, should, "{name}: {wanted:?} {:?}", first.values[name]);
    }
    let digests: BTreeMap<String, String> = wanted
        .iter()
        .zip(&types)
        .map(|((name, value), field)| (name.clone(), conflict::field_digest("res.partner", field, value)))
        .collect();
    let same = conflict::merge("res.partner", &types, &first.values, &wanted, &digests, false, false);
    let links = same.links.clone();
    let nothing = conflict::Merge {
        links,
        ..conflict::Merge::default()
    };
    assert_eq!(same, nothing, "what was written last is not sent again");

    let updates: Vec<(String, Op)> = ids
        .iter()
        .enumerate()
        .map(|(row, id)| {
            let op = Op::Update {
                lines: vec![],
                id: *id,
                values: values(&[
                    ("ref", text(&format!("ref {row}"))),
                    ("category_id", OdooValue::Links(vec![Reference::Id(other)])),
                ]),
                unlink: vec![("category_id".to_owned(), vec![tag])],
            };
            (row.to_string(), op)
        })
        .collect();
    let gone = Op::Update {
        lines: vec![],
        id: 2_000_000_000,
        values: values(&[("ref", text("x"))]),
        unlink: vec![],
    };
    let updates = updates
        .iter()
        .map(|(key, op)| (key.as_str(), op.clone()))
        .chain([("gone", gone)])
        .collect();
    let done = corner.write("contacts", "res.partner", updates).await;
    assert_eq!(
        done.iter()
            .filter(|(_, written)| matches!(written, Written::Updated(_)))
            .count(),
        40,
        "{done:?}"
    );
    let types = fields(&[("ref", "char"), ("category_id", "many2many"), ("street", "char")]);
    let read = verify::read_back(&*corner.rpc, "res.partner", &types, &ids)
        .await
        .unwrap();
    let last = &read[&ids[39]].values;
    assert_eq!(
        (&last["ref"], &last["category_id"]),
        (&text("ref 39"), &OdooValue::Links(vec![Reference::Id(other)]))
    );
    assert_eq!(last["street"], text("Rua do Zé 2"), "a child keeps its address");

    let found = corner
        .call(
            "res.partner",
            "create",
            args!({"vals_list": [{"name": "there before"}]}),
        )
        .await[0]
        .as_i64()
        .unwrap();
    let adopt = Op::Adopt {
        lines: vec![],
        id: found,
        values: values(&[("ref", text("filled"))]),
    };
    let done = corner.write("contacts", "res.partner", vec![("adopted", adopt)]).await;
    assert_eq!(done[0].1, Written::Adopted(found));
    let known = identity::find_all(&*corner.rpc, &corner.module, "contacts", "res.partner")
        .await
        .unwrap();
    assert!(
        known
            .iter()
            .any(|known| known.name == "contacts_adopted" && known.noupdate && known.res_id == found)
    );
    assert_eq!(known.iter().filter(|known| known.noupdate).count(), 1);
    corner.leave().await;
}

#[tokio::test]
async fn teams_go_through_load_and_have_their_external_ids() {
    for rpc in odoos() {
        teams(rpc).await;
    }
}

async fn teams(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let name = unique("Vendas ");
    let user = sweep::whoami(&*corner.rpc).await.unwrap();
    let full = values(&[
        ("name", text(&name)),
        ("user_id", OdooValue::Link(Reference::Id(user))),
        ("active", OdooValue::Boolean(true)),
        ("color", OdooValue::Integer(3)),
    ]);
    let short = values(&[("name", text(&format!("{name}, 2")))]);
    let empty = values(&[
        ("name", text(&format!("{name}, 3"))),
        ("user_id", OdooValue::Empty),
        ("favorite_user_ids", OdooValue::Links(vec![Reference::Id(user)])),
    ]);
    let done = corner
        .write(
            "teams",
            "crm.team",
            vec![
                ("1", Op::Create(full)),
                ("2", Op::Create(short)),
                ("3", Op::Create(empty)),
            ],
        )
        .await;
    assert!(
        done.iter().all(|(_, written)| matches!(written, Written::Created(_))),
        "{done:?}"
    );
    let known = identity::find_all(&*corner.rpc, &corner.module, "teams", "crm.team")
        .await
        .unwrap();
    assert_eq!(known.len(), 3);
    let types = fields(&[("name", "char"), ("user_id", "many2one"), ("color", "integer")]);
    let ids: Vec<i64> = known.iter().map(|known| known.res_id).collect();
    let read = verify::read_back(&*corner.rpc, "crm.team", &types, &ids).await.unwrap();
    let team = read.values().find(|read| read.values["name"] == text(&name)).unwrap();
    assert_eq!(
        (&team.values["user_id"], &team.values["color"]),
        (&OdooValue::Link(Reference::Id(user)), &OdooValue::Integer(3))
    );
    corner.leave().await;
}

#[tokio::test]
async fn a_late_writers_twins_are_taken_away_and_what_is_no_twin_is_left() {
    for rpc in odoos() {
        twins(rpc).await;
    }
}

async fn twins(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let model = "res.partner.category";
    let above = sweep::marks(&*corner.rpc, &[OdooModel(model.to_owned())])
        .await
        .unwrap()[model];
    let name = unique("twin ");
    // two writers create the same: the external id moves to the second
    for _ in 0..2 {
        let context = json!({"_import_current_module": corner.module});
        let args = args!({"vals_list": [{"id": "tags_1", "name": name}], "context": context});
        corner.call(model, "create", args).await;
    }
    let nameless = corner
        .call(model, "create", args!({"vals_list": [{"name": unique("else ")}]}))
        .await[0]
        .as_i64()
        .unwrap();
    let me = sweep::whoami(&*corner.rpc).await.unwrap();
    let ours: BTreeSet<i64> = named_like(&corner, model, &name).await;
    let orphans = sweep::orphans(&*corner.rpc, model, above, me).await.unwrap();
    let mine: Vec<i64> = orphans
        .into_iter()
        .filter(|id| ours.contains(id) || *id == nameless)
        .collect();
    assert_eq!(mine.len(), 2);
    let types = fields(&[("name", "char"), ("parent_id", "many2one")]);
    let swept = sweep::remove_twins(&*corner.rpc, model, &types, (&corner.module, "tags"), &mine, me)
        .await
        .unwrap();
    assert_eq!((swept.removed.len(), swept.left), (1, vec![nameless]));
    assert_eq!(named_like(&corner, model, &name).await.len(), 1);
    corner.call(model, "unlink", args!({"ids": [nameless]})).await;
    corner.leave().await;
}

async fn named_like(corner: &Corner, model: &str, name: &str) -> BTreeSet<i64> {
    let found = corner
        .call(model, "search", args!({"domain": [["name", "=", name]]}))
        .await;
    found.as_array().unwrap().iter().filter_map(Json::as_i64).collect()
}

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

#[tokio::test]
async fn custom_fields_are_made_once_and_get_the_options_they_lack() {
    for rpc in odoos() {
        custom_fields(rpc).await;
    }
}

async fn custom_fields(rpc: Arc<dyn Rpc>) {
    let suffix = unique("");
    let field = |model: &str, name: &str, type_, options: &[&str]| CustomField {
        relation: None,
        model: OdooModel(model.to_owned()),
        name: format!("x_test_{name}_{suffix}"),
        type_,
        label: "Label".to_owned(),
        help: String::new(),
        options: options
            .iter()
            .map(|option| ((*option).to_owned(), option.to_uppercase()))
            .collect(),
    };
    let stage = |options: &[&str]| field("crm.lead", "stage", FieldType::Selection, options);
    let wanted = [
        stage(&["a"]),
        stage(&["b"]),
        field("crm.lead", "amount", FieldType::Monetary, &[]),
        field("crm.tag", "amount", FieldType::Monetary, &[]),
        field("res.partner", "day", FieldType::Date, &[]),
        field("no.model", "day", FieldType::Date, &[]),
    ];
    let ensured = |all: Vec<(CustomField, Ensured)>| -> Vec<Ensured> { all.into_iter().map(|(_, one)| one).collect() };
    let first = ensured(schema::ensure(&*rpc, &wanted).await.unwrap());
    let second = ensured(schema::ensure(&*rpc, &wanted).await.unwrap());
    let third = ensured(
        schema::ensure(
            &*rpc,
            &[stage(&["a", "c"]), field("res.partner", "day", FieldType::Char, &[])],
        )
        .await
        .unwrap(),
    );
    let domain = json!([
        ["name", "=like", format!("x_test_%_{suffix}")],
        ["model", "in", ["crm.lead", "crm.tag", "res.partner"]]
    ]);
    let made = rpc
        .call("ir.model.fields", "search", args!({"domain": domain}))
        .await
        .unwrap();
    rpc.call("ir.model.fields", "unlink", args!({"ids": made}))
        .await
        .unwrap();
    assert!(
        matches!(
            &first[..],
            [
                Ensured::Made,
                Ensured::Made,
                Ensured::Clash(_),
                Ensured::Made,
                Ensured::Clash(_)
            ]
        ),
        "{first:?}"
    );
    assert!(
        matches!(
            &second[..],
            [
                Ensured::Existed,
                Ensured::Existed,
                Ensured::Clash(_),
                Ensured::Existed,
                Ensured::Clash(_)
            ]
        ),
        "{second:?}"
    );
    assert!(
        matches!(&third[..], [Ensured::OptionsAdded, Ensured::Clash(_)]),
        "{third:?}"
    );
}

/// A line of a contact's subscriptions.
fn subscription(contact: &str, key: &str, list: i64, out: bool) -> Line {
    Line {
        name: format!("contacts_{contact}_subscription_ids__{key}"),
        values: values(&[
            ("list_id", OdooValue::Link(Reference::Id(list))),
            ("opt_out", OdooValue::Boolean(out)),
        ]),
        checks: Vec::new(),
    }
}

#[tokio::test]
async fn lines_travel_with_their_record_and_are_read_back_by_name() {
    for rpc in odoos() {
        lines_of_a_record(rpc).await;
    }
}

async fn lines_of_a_record(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let mut lists = Vec::new();
    for name in ["news", "offers", "events"] {
        lists.push(
            corner
                .create(name, "mailing.list", &[("name", text(&unique(name)))])
                .await,
        );
    }
    let mail = unique("ana") + "@example.com";
    let contact = corner
        .create(
            "contacts",
            "mailing.contact",
            &[
                ("email", text(&mail)),
                (
                    "subscription_ids",
                    OdooValue::Lines(vec![
                        subscription("1", "1", lists[0], false),
                        subscription("1", "2", lists[1], true),
                    ]),
                ),
            ],
        )
        .await;
    let of = LineFields {
        field: "subscription_ids".into(),
        model: OdooModel("mailing.subscription".into()),
        targets: fields(&[("list_id", "many2one"), ("opt_out", "boolean")]),
        checks: Vec::new(),
    };
    let read = || async {
        let types = fields(&[("subscription_ids", "one2many")]);
        let records = verify::read_back(&*corner.rpc, "mailing.contact", &types, &[contact])
            .await
            .unwrap();
        let mut found = lines::read(&*corner.rpc, &corner.module, &of, &records).await.unwrap();
        found.remove(&contact).unwrap()
    };
    let first = read().await;
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|line| line.name.is_some()), "{first:?}");
    // one is changed, one goes, one comes; sent twice, as after an answer that was lost, it makes no twin
    let wanted = [
        subscription("1", "2", lists[1], false),
        subscription("1", "3", lists[2], true),
    ];
    let me = sweep::whoami(&*corner.rpc).await.unwrap();
    let last = lines::digests(
        &of,
        &[
            subscription("1", "1", lists[0], false),
            subscription("1", "2", lists[1], true),
        ],
        &[],
    );
    let merge = lines::merge(&of, &first, &wanted, &last, (false, me, false));
    assert_eq!(merge.ops.len(), 3, "{merge:?}");
    let add = merge
        .ops
        .iter()
        .filter(|op| matches!(op, LineOp::Add(_)))
        .cloned()
        .collect::<Vec<_>>();
    for ops in [merge.ops, add] {
        let op = Op::Update {
            id: contact,
            values: Vec::new(),
            unlink: Vec::new(),
            lines: vec![("subscription_ids".to_owned(), ops)],
        };
        let done = corner.write("contacts", "mailing.contact", vec![("1", op)]).await;
        assert_eq!(done[0].1, Written::Updated(contact), "{done:?}");
    }
    let second = read().await;
    let names: BTreeSet<&str> = second.iter().filter_map(|line| line.name.as_deref()).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(second.len(), 2, "{second:?}");
    let last = lines::digests(&of, &wanted, &[]);
    let again = lines::merge(&of, &second, &wanted, &last, (false, me, false));
    assert_eq!(
        again,
        lines::LineMerge::default(),
        "what was written last is not sent again"
    );
    let left: Vec<i64> = second.iter().map(|line| line.id).collect();
    corner
        .call("mailing.subscription", "unlink", args!({"ids": left}))
        .await;
    corner.leave().await;
}

#[tokio::test]
async fn records_that_an_import_makes_take_their_lines_along() {
    for rpc in odoos() {
        teams_with_members(rpc).await;
    }
}

async fn teams_with_members(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let mut users = Vec::new();
    for name in ["ana", "rui", "eva"] {
        let login = unique(name);
        let fields = [("name", text(name)), ("login", text(&login))];
        users.push(corner.create(name, "res.users", &fields).await);
    }
    let member = |team: &str, user: usize| Line {
        name: format!("teams_{team}_crm_team_member_ids__{user}"),
        values: values(&[("user_id", OdooValue::Link(Reference::Id(users[user])))]),
        checks: Vec::new(),
    };
    let team = |name: &str, members: Vec<Line>| {
        Op::Create(values(&[
            ("name", text(name)),
            ("crm_team_member_ids", OdooValue::Lines(members)),
        ]))
    };
    let batch = vec![
        ("1", team("Vendas", vec![member("1", 0), member("1", 1)])),
        ("2", team("Nova", Vec::new())),
        ("3", team("Lojas", vec![member("3", 2)])),
    ];
    let done = corner.write("teams", "crm.team", batch).await;
    let made: BTreeMap<String, i64> = done
        .iter()
        .map(|(key, written)| match written {
            Written::Created(id) => (key.0.clone(), *id),
            other => panic!("{key:?}: {other:?}"),
        })
        .collect();
    let args = args!({"domain": [["crm_team_id", "in", made.values().collect::<Vec<_>>()]], "fields": ["crm_team_id", "user_id"],
                      "order": "id"});
    let rows = corner.call("crm.team.member", "search_read", args).await;
    let found: BTreeSet<(i64, i64)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["crm_team_id"][0].as_i64().unwrap(),
                row["user_id"][0].as_i64().unwrap(),
            )
        })
        .collect();
    let wanted = [(made["1"], users[0]), (made["1"], users[1]), (made["3"], users[2])];
    assert_eq!(found, BTreeSet::from(wanted));
    let of = LineFields {
        field: "crm_team_member_ids".into(),
        model: OdooModel("crm.team.member".into()),
        targets: fields(&[("user_id", "many2one")]),
        checks: Vec::new(),
    };
    let types = fields(&[("crm_team_member_ids", "one2many")]);
    let records = verify::read_back(&*corner.rpc, "crm.team", &types, &[made["1"]])
        .await
        .unwrap();
    let lines = lines::read(&*corner.rpc, &corner.module, &of, &records).await.unwrap();
    let names: BTreeSet<Option<String>> = lines[&made["1"]].iter().map(|line| line.name.clone()).collect();
    assert_eq!(names, BTreeSet::from([0, 1].map(|user| Some(member("1", user).name))));
    let ids: Vec<&Json> = rows.as_array().unwrap().iter().map(|row| &row["id"]).collect();
    corner.call("crm.team.member", "unlink", args!({"ids": ids})).await;
    corner.leave().await;
}

#[tokio::test]
async fn a_custom_model_is_made_once_and_holds_relations_of_its_own() {
    for rpc in odoos() {
        custom_model(rpc).await;
    }
}

#[expect(clippy::too_many_lines, reason = "one model, from nothing to its last right")]
async fn custom_model(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let rpc = corner.rpc.clone();
    let name = unique("x_test_model_");
    let model = CustomModel {
        model: OdooModel(name.clone()),
        label: unique("Test model "),
        help: "Of a test".to_owned(),
        access: BTreeMap::from([("base.group_user".to_owned(), Access::Read)]),
        menu: Some("crm.crm_menu_root".to_owned()),
    };
    assert_eq!(
        custom_models::ensure(&*rpc, std::slice::from_ref(&model))
            .await
            .unwrap(),
        std::slice::from_ref(&name)
    );
    assert!(
        custom_models::ensure(&*rpc, std::slice::from_ref(&model))
            .await
            .unwrap()
            .is_empty()
    );
    let field = |field: &str, type_, relation: Option<&str>| CustomField {
        relation: relation.map(|model| OdooModel(model.to_owned())),
        model: OdooModel(name.clone()),
        name: field.to_owned(),
        type_,
        label: "Label".to_owned(),
        help: String::new(),
        options: BTreeMap::new(),
    };
    let made = [
        field("x_name", FieldType::Char, None),
        field("x_one", FieldType::Many2one, Some("res.partner.category")),
        field("x_some", FieldType::Many2many, Some("res.partner.category")),
        field("x_others", FieldType::Many2many, Some("res.partner.category")),
        field("x_file", FieldType::Binary, None),
    ];
    let ensured: Vec<Ensured> = schema::ensure(&*rpc, &made)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, one)| one)
        .collect();
    assert_eq!(
        ensured,
        [
            Ensured::Existed,
            Ensured::Made,
            Ensured::Made,
            Ensured::Made,
            Ensured::Made
        ]
    );
    let again = schema::ensure(&*rpc, &made).await.unwrap();
    assert!(again.iter().all(|(_, one)| *one == Ensured::Existed), "{again:?}");
    let elsewhere = schema::ensure(&*rpc, &[field("x_one", FieldType::Many2one, Some("res.partner"))])
        .await
        .unwrap();
    assert!(
        matches!(&elsewhere[0].1, Ensured::Clash(why) if why.contains("res.partner.category")),
        "{elsewhere:?}"
    );

    let tag = corner
        .create("tags", "res.partner.category", &[("name", text(&unique("tag")))])
        .await;
    let link = Reference::Id(tag);
    let wanted = [
        ("x_name", text("Launch")),
        ("x_one", OdooValue::Link(link.clone())),
        ("x_some", OdooValue::Links(vec![link])),
        ("x_others", OdooValue::Links(Vec::new())),
        ("x_file", text("aGVsbG8=")),
    ];
    let types = fields(&[
        ("x_name", "char"),
        ("x_one", "many2one"),
        ("x_some", "many2many"),
        ("x_others", "many2many"),
        ("x_file", "binary"),
    ]);
    let id = corner.create("things", &name, &wanted).await;
    let read = verify::read_back(&*rpc, &name, &types, &[id]).await.unwrap();
    for ((field, value), target) in wanted.iter().zip(&types) {
        let found = &read[&id].values[*field];
        assert_eq!(
            verify::compare(target, &name, value, found),
            Comparison::Equal,
            "{field}: {found:?}"
        );
    }
    corner.leave().await;
    let menus = rpc
        .call("ir.ui.menu", "search", args!({"domain": [["name", "=", model.label]]}))
        .await
        .unwrap();
    assert_eq!(menus.as_array().unwrap().len(), 1);
    rpc.call("ir.ui.menu", "unlink", args!({"ids": menus})).await.unwrap();
    let of_model = rpc
        .call(
            "ir.actions.act_window",
            "search",
            args!({"domain": [["res_model", "=", name]]}),
        )
        .await
        .unwrap();
    rpc.call("ir.actions.act_window", "unlink", args!({"ids": of_model}))
        .await
        .unwrap();
    let models = rpc
        .call("ir.model", "search", args!({"domain": [["model", "=", name]]}))
        .await
        .unwrap();
    let rights = args!({"domain": [["model_id", "in", models]]});
    let rights = rpc.call("ir.model.access", "search", rights).await.unwrap();
    rpc.call("ir.model.access", "unlink", args!({"ids": rights}))
        .await
        .unwrap();
    rpc.call("ir.model", "unlink", args!({"ids": models})).await.unwrap();
}

#[tokio::test]
async fn only_records_that_nothing_refers_to_are_free_to_go() {
    for rpc in odoos() {
        free_to_go(rpc).await;
    }
}

async fn free_to_go(rpc: Arc<dyn Rpc>) {
    let corner = Corner::new(rpc);
    let named = |name: &str| [("name", text(&unique(name)))];
    let alone = corner.create("alone", "res.partner", &named("alone ")).await;
    let parent = corner.create("parent", "res.partner", &named("parent ")).await;
    let refers = [
        ("name", text("child")),
        ("parent_id", OdooValue::Link(Reference::Id(parent))),
    ];
    corner.create("child", "res.partner", &refers).await;
    let customer = corner.create("customer", "res.partner", &named("customer ")).await;
    let refers = [
        ("name", text("lead")),
        ("partner_id", OdooValue::Link(Reference::Id(customer))),
    ];
    let lead = corner.create("lead", "crm.lead", &refers).await;
    let tag = corner.create("tag", "crm.tag", &named("tag ")).await;
    let used = remove::in_use(&*corner.rpc, "res.partner", &[], &[alone, parent, customer])
        .await
        .unwrap();
    assert_eq!(used, BTreeSet::from([parent, customer]));
    // a real Odoo can be asked about every field that points to what migrations make
    for (model, id) in [("crm.lead", lead), ("crm.tag", tag)] {
        let used = remove::in_use(&*corner.rpc, model, &[], &[id]).await.unwrap();
        assert!(used.is_empty(), "{model}: {used:?}");
    }
    corner.leave().await;
}
