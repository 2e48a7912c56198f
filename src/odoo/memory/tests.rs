use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::{args, odoo::models};

async fn partners(memory: &Memory) -> Value {
    memory
        .call("res.partner", "search", args!({"domain": [], "order": "id"}))
        .await
        .expect("a search")
}

#[tokio::test]
async fn a_failed_call_leaves_nothing_behind() {
    let memory = Memory::new();
    let before = partners(&memory).await;
    let context = json!({"_import_current_module": "test"});
    let batch = json!([{"id": "a", "name": "A"}, {"id": "b", "name": "B", "type": "bogus"}]);
    let refused = memory
        .call("res.partner", "create", args!({"vals_list": batch, "context": context}))
        .await;
    assert!(matches!(refused, Err(RpcError::Rejected { .. })), "{refused:?}");
    assert_eq!(partners(&memory).await, before);
    let named = memory
        .call(
            "ir.model.data",
            "search_count",
            args!({"domain": [["module", "=", "test"]]}),
        )
        .await;
    assert_eq!(named, Ok(json!(0)));
    // The index of names was taken back too: the name is free.
    let again = json!([{"module": "test", "name": "a", "model": "res.partner", "res_id": 1}]);
    assert!(
        memory
            .call("ir.model.data", "create", args!({"vals_list": again}))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_saved_database_is_the_same_after_loading() {
    let memory = Memory::new();
    let field = json!([{"name": "x_code", "model_id": 1, "field_description": "Code", "ttype": "char"}]);
    let model = memory
        .call("ir.model", "search", args!({"domain": [["model", "=", "res.partner"]]}))
        .await
        .expect("found");
    let mut field = field;
    field[0]["model_id"] = model[0].clone();
    memory
        .call("ir.model.fields", "create", args!({"vals_list": field}))
        .await
        .expect("a field");
    let context = json!({"_import_current_module": "test"});
    let vals = json!([{"id": "a", "name": "Ação", "x_code": "7"}]);
    let made = memory
        .call("res.partner", "create", args!({"vals_list": vals, "context": context}))
        .await
        .expect("made");
    let loaded = Memory::load(&memory.save()).expect("its own bytes");
    let found = loaded
        .call("res.partner", "search", args!({"domain": [["x_code", "=", "7"]]}))
        .await;
    assert_eq!(found, Ok(made));
    // Names are known again: the second create moves the name instead of making a second one.
    let again = json!([{"id": "a", "name": "Twin"}]);
    loaded
        .call("res.partner", "create", args!({"vals_list": again, "context": context}))
        .await
        .expect("made");
    let named = loaded
        .call(
            "ir.model.data",
            "search_count",
            args!({"domain": [["module", "=", "test"]]}),
        )
        .await;
    assert_eq!(named, Ok(json!(1)));
}

#[test]
fn a_damaged_file_is_refused_without_quoting_it() {
    assert!(Memory::load(b"no zstd").is_err());
    let packed = zstd::encode_all(br#"{"tables": "Maria Silva"}"#.as_slice(), 1).expect("packed");
    let error = Memory::load(&packed)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(error.contains("line 1") && !error.contains("Maria"), "{error}");
}

#[tokio::test]
async fn times_come_from_the_clock() {
    let seconds = Arc::new(AtomicI64::new(1_600_000_000));
    let clock = seconds.clone();
    let memory = Memory::with_clock(Arc::new(move || {
        Timestamp::from_second(clock.load(Ordering::SeqCst)).expect("in range")
    }));
    let made = memory
        .call("res.partner", "create", args!({"vals_list": [{"name": "A"}]}))
        .await
        .expect("made");
    seconds.fetch_add(60, Ordering::SeqCst);
    memory
        .call("res.partner", "write", args!({"ids": made, "vals": {"ref": "1"}}))
        .await
        .expect("written");
    let fields = json!(["create_date", "write_date", "write_uid"]);
    let read = memory
        .call("res.partner", "read", args!({"ids": made, "fields": fields}))
        .await
        .expect("read");
    assert_eq!(read[0]["create_date"], "2020-09-13 12:26:40");
    assert_eq!(read[0]["write_date"], "2020-09-13 12:27:40");
    assert_eq!(read[0]["write_uid"], json!([2, "Administrator"]));
}

#[tokio::test]
async fn what_memory_says_of_its_models_is_the_bundled_description() {
    let memory = Memory::new();
    let said = models::fetch(&memory, ["res.partner", "crm.lead", "no.model"])
        .await
        .expect("described");
    assert_eq!(said.models.len(), 2);
    for (name, model) in said.models {
        assert_eq!(
            Some(&model.fields),
            models::bundled().models.get(&name).map(|model| &model.fields),
            "{name}"
        );
    }
    assert_eq!(said.modules, models::bundled().modules);
}
