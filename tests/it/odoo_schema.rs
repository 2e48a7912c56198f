//! Custom fields and models. Against the Odoo in memory, and against the server at `ODOO_URL` when it is set, over each of
//! its APIs (see [`crate::real`]).

use std::{collections::BTreeMap, sync::Arc};

use crmferry::{
    api::mapping_spec::{Access, FieldType},
    args,
    mapping::{CustomField, CustomModel},
    model::{OdooModel, OdooValue, Reference},
    odoo::{
        custom_models,
        rpc::Rpc,
        schema::{self, Ensured},
        verify::{self, Comparison},
    },
};
use serde_json::json;

use crate::corner::{Corner, fields, odoos, text, unique};

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
