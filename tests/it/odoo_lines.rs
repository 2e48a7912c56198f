//! Lines of records. Against the Odoo in memory, and against the server at `ODOO_URL` when it is set, over each of
//! its APIs (see [`crate::real`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crmferry::{
    args,
    mapping::LineFields,
    model::{Line, OdooModel, OdooValue, Reference},
    odoo::{
        lines::{self, LineOp, Terms},
        rpc::Rpc,
        sweep,
        upsert::{Op, Written},
        verify,
    },
};
use serde_json::Value as Json;

use crate::corner::{Corner, fields, odoos, text, unique, values};

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
    let terms = Terms {
        uid: me,
        ..Terms::default()
    };
    let merge = lines::merge(&of, &first, &wanted, &last, terms);
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
    let again = lines::merge(&of, &second, &wanted, &last, terms);
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
