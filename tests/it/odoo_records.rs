//! Records: identities, writes, read-back, sweep, what may go. Against the Odoo in memory, and against the server at `ODOO_URL` when it is set, over each of
//! its APIs (see [`crate::real`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crmferry::{
    args,
    model::{OdooModel, OdooValue, Reference},
    odoo::{
        conflict, identity, remove,
        rpc::Rpc,
        sweep,
        upsert::{Op, Written},
        verify::{self, Comparison},
    },
};
use serde_json::{Value as Json, json};

use crate::corner::{Corner, fields, odoos, text, unique, values};

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
    let mut types = fields(&[
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
    for field in &mut types {
        // as fields_get says
        field.digits = (field.name == "partner_latitude").then_some(7);
    }
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
    let file = corner.create("file", "ir.attachment", &named("file ")).await;
    let used = remove::in_use(&*corner.rpc, "res.partner", &[], &[alone, parent, customer])
        .await
        .unwrap();
    assert_eq!(used, BTreeSet::from([parent, customer]));
    // a real Odoo can be asked about every field that points to what migrations make
    for (model, id) in [("crm.lead", lead), ("crm.tag", tag), ("ir.attachment", file)] {
        let used = remove::in_use(&*corner.rpc, model, &[], &[id]).await.unwrap();
        assert!(used.is_empty(), "{model}: {used:?}");
    }
    corner.leave().await;
}
