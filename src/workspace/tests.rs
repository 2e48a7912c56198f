use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use proptest::prelude::*;
use serde_json::json;

use super::snapshot::ObjectLines;
use super::*;
use crate::model::{OdooModel, Rejection, SourceKey};

fn in_memory() -> Workspace {
    Workspace::new(Arc::new(InMemory::new()), "sales", "acme")
}

fn marker(account: &str, migration: &str) -> Marker {
    Marker {
        account: account.into(),
        platform: "pipz".into(),
        module: "crmferry_pipz_acme".into(),
        migration: migration.into(),
    }
}

fn record(id: usize, text: &str) -> Line {
    Line::Record(json!({"id": id, "text": text}).as_object().unwrap().clone())
}

fn entry(key: &str, id: i64) -> Entry {
    Entry {
        key: SourceKey(key.into()),
        external_id: format!("contacts_{key}"),
        id: Some(id),
        outcome: Outcome::Created,
        digest: Some("sha256:00".into()),
        fields: BTreeMap::from([("name".into(), "ab".into())]),
        theirs: std::collections::BTreeSet::new(),
        touched: false,
        merged: false,
        left: false,
        notes: Vec::new(),
        links: BTreeMap::from([("category_id".into(), vec![1, 2])]),
        lines: BTreeMap::new(),
        run: 1,
    }
}

async fn snapshot(workspace: &Workspace, lines: &[Line]) -> Manifest {
    let mut writer = workspace.begin_snapshot().await.unwrap();
    for object in ["contact", "São/Paulo"] {
        let mut object = writer.object(object);
        for line in lines {
            object.push(line).await.unwrap();
        }
        object.finish().await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn read(workspace: &Workspace, manifest: &Manifest) -> Result<Vec<Line>, WorkspaceError> {
    workspace.read_object(manifest, "contact").try_collect().await
}

async fn paths(workspace: &Workspace) -> Vec<Path> {
    let mut paths: Vec<Path> = workspace
        .store
        .list(None)
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .unwrap();
    paths.sort();
    paths
}

#[test]
fn a_marker_of_another_source_is_foreign_and_one_of_another_migration_is_taken_over() {
    let ours = marker("acme", "1");
    for (found, wanted) in [
        (None, Some(Claimed::Fresh)),
        (Some(marker("acme", "1")), Some(Claimed::Ours)),
        (Some(marker("acme", "2")), Some(Claimed::Fresh)),
        (Some(marker("other", "1")), None),
    ] {
        assert_eq!(claim_of(found.as_ref(), &ours), wanted, "{found:?}");
    }
}

#[tokio::test]
async fn a_workspace_is_claimed_once_and_refuses_others() {
    let workspace = in_memory();
    assert_eq!(workspace.marker().await.unwrap(), None);
    assert_eq!(workspace.claim(&marker("acme", "1")).await.unwrap(), Claimed::Fresh);
    workspace.append_ledger("contacts", &[entry("1", 1)]).await.unwrap();
    assert_eq!(workspace.claim(&marker("acme", "1")).await.unwrap(), Claimed::Ours);
    let refused = workspace.claim(&marker("other", "1")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the workspace is another's: .crmferry.json names account acme of pipz with the external ids crmferry_pipz_acme"
    );
    assert_eq!(
        workspace
            .ledger("contacts")
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .len(),
        1
    );
    workspace.put_json("stock/contacts.json", &1).await.unwrap();
    assert_eq!(workspace.claim(&marker("acme", "2")).await.unwrap(), Claimed::Fresh);
    assert_eq!(workspace.ledger("contacts").try_collect::<Vec<_>>().await.unwrap(), []);
    assert_eq!(
        workspace.get_json::<i64>("stock/contacts.json").await.unwrap(),
        None,
        "another Migration counts what it meets itself"
    );
    assert_eq!(workspace.marker().await.unwrap(), Some(marker("acme", "2")));
}

#[tokio::test]
async fn a_local_workspace_lies_below_namespace_and_name_and_is_probed() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("deep");
    let workspace = Workspace::local(&root, "sales", "acme").unwrap();
    workspace.probe().await.unwrap();
    assert_eq!(paths(&workspace).await, []);
    workspace.claim(&marker("acme", "1")).await.unwrap();
    assert!(root.join("sales/acme/.crmferry.json").is_file());
    // where a folder should be is a file: nobody, root included, can write below it
    std::fs::write(root.join("file"), "").unwrap();
    let refused = Workspace::local(&root.join("file"), "sales", "acme").unwrap_err();
    assert!(matches!(refused, WorkspaceError::NotWritable { .. }), "{refused:?}");
    let refused = Workspace::local(&root, "file", "acme")
        .unwrap()
        .probe()
        .await
        .unwrap_err();
    assert_eq!(refused.to_string(), "the workspace is not writable at .probe");
}

#[test]
fn a_local_workspace_has_one_process() {
    let scratch = tempfile::tempdir().unwrap();
    let held = exclusive(scratch.path()).unwrap();
    let refused = exclusive(scratch.path()).unwrap_err();
    assert!(refused.to_string().contains("another crmferry is at work"), "{refused}");
    drop(held);
    exclusive(scratch.path()).unwrap();
}

#[tokio::test]
async fn exports_and_files_stay_inside_of_the_workspace() {
    let workspace = in_memory();
    assert_eq!(workspace.exports("exports/").unwrap().prefix, Path::from("exports"));
    for path in ["../other", "a/../../b", "a//b"] {
        assert!(workspace.exports(path).is_err(), "{path}");
        assert!(workspace.put_file(path, Vec::new()).await.is_err(), "{path}");
    }
    let file = workspace
        .put_file("reports/scope.md", b"# Scope".to_vec())
        .await
        .unwrap();
    assert_eq!(file.path, "reports/scope.md");
    assert_eq!(file.digest, Digest::of(b"# Scope").to_string());
}

#[tokio::test]
async fn a_plan_is_found_by_its_digest_and_checked() {
    let workspace = in_memory();
    let digest = workspace.put_plan("{}").await.unwrap();
    assert_eq!(workspace.plan(digest.as_str()).await.unwrap().as_deref(), Some("{}"));
    assert_eq!(workspace.plan("sha256:00").await.unwrap(), None);
    workspace
        .put(&plan_path(digest.as_str()), b"{ }".to_vec())
        .await
        .unwrap();
    let refused = workspace.plan(digest.as_str()).await.unwrap_err();
    assert!(matches!(refused, WorkspaceError::Damaged { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_snapshot_is_read_back_as_it_was_written() {
    let workspace = in_memory();
    assert_eq!(workspace.latest_snapshot().await.unwrap(), None);
    let broken = Line::Broken(Rejection::new("BrokenLine", "exports/contact.csv", "line 2: why"));
    let long = "x".repeat(1 << 20);
    let lines = [
        record(1, "é 😀\n"),
        broken,
        record(2, &long),
        record(3, &long),
        record(4, "end"),
    ];
    let manifest = snapshot(&workspace, &lines).await;
    assert_eq!(read(&workspace, &manifest).await.unwrap(), lines);
    assert_eq!(workspace.latest_snapshot().await.unwrap(), Some(manifest.clone()));
    let ObjectLines {
        records,
        broken,
        chunks,
    } = &manifest.objects["São/Paulo"];
    assert_eq!((*records, *broken, chunks.len()), (4, 1, 2));
    let again = snapshot(&workspace, &lines).await;
    assert_eq!((again.generation, &again.watermark), (2, &manifest.watermark));
    assert_ne!(snapshot(&workspace, &lines[1..]).await.watermark, manifest.watermark);
}

#[tokio::test]
async fn a_generation_without_its_manifest_does_not_exist_and_is_pruned() {
    let workspace = in_memory();
    let mut generations = Vec::new();
    for number in 0..3 {
        let mut unfinished = workspace.begin_snapshot().await.unwrap();
        let mut object = unfinished.object("contact");
        object.push(&record(0, "lost")).await.unwrap();
        object.finish().await.unwrap();
        generations.push(snapshot(&workspace, &[record(number, "kept")]).await);
    }
    let mut unfinished = workspace.begin_snapshot().await.unwrap();
    let mut object = unfinished.object("contact");
    object.push(&record(0, "going on")).await.unwrap();
    object.finish().await.unwrap();
    assert_eq!(workspace.latest_snapshot().await.unwrap().as_ref(), generations.last());
    workspace.prune_snapshots(2).await.unwrap();
    assert!(
        paths(&workspace)
            .await
            .iter()
            .all(|path| !path.as_ref().starts_with("snapshot/5/"))
    );
    let going_on = unfinished.finish().await.unwrap();
    assert_eq!(read(&workspace, &going_on).await.unwrap(), [record(0, "going on")]);
    for (number, manifest) in generations.iter().enumerate().skip(1) {
        assert_eq!(read(&workspace, manifest).await.unwrap(), [record(number, "kept")]);
    }
    assert!(read(&workspace, &generations[0]).await.is_err());
}

#[tokio::test]
async fn whatever_is_missing_or_damaged_in_a_snapshot_is_an_error() {
    let workspace = in_memory();
    let manifest = snapshot(&workspace, &[record(1, "one"), record(2, "two")]).await;
    let chunk = Path::from("snapshot/1/contact/000001.jsonl.zst");
    let whole = workspace.get(&chunk).await.unwrap().unwrap();
    let fewer = segment::pack(b"{\"record\":{\"id\":1}}\n").unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut damages: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    damages.extend((0..whole.len()).map(flipped));
    damages.push(fewer);
    for damage in damages {
        workspace.put(&chunk, damage).await.unwrap();
        match read(&workspace, &manifest).await {
            // bits of a zstd frame's header may mean nothing: then nothing is lost
            Ok(lines) => assert_eq!(lines, [record(1, "one"), record(2, "two")]),
            Err(refused) => assert!(refused.to_string().starts_with(chunk.as_ref()), "{refused}"),
        }
    }
    workspace.put(&chunk, whole[..whole.len() - 1].to_vec()).await.unwrap();
    assert!(read(&workspace, &manifest).await.is_err());
    workspace.delete(&chunk).await.unwrap();
    let missing = read(&workspace, &manifest).await.unwrap_err();
    assert_eq!(missing.to_string(), format!("{chunk} is damaged: it is not there"));
    let unknown: Result<Vec<Line>, _> = workspace.read_object(&manifest, "deal").try_collect().await;
    assert!(unknown.unwrap_err().to_string().contains("no source object deal"));

    let path = Path::from("snapshot/1/manifest.json");
    let text = String::from_utf8(workspace.get(&path).await.unwrap().unwrap()).unwrap();
    for damage in [
        text.replace("\"records\":2", "\"records\":3"),
        text[..text.len() - 1].to_owned(),
        String::new(),
    ] {
        workspace.put(&path, damage.into_bytes()).await.unwrap();
        assert!(workspace.latest_snapshot().await.is_err());
    }
}

#[tokio::test]
async fn a_ledger_is_read_in_the_order_of_writing_by_who_comes_after() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let first = Workspace::new(Arc::clone(&store), "sales", "acme");
    first.append_ledger("contacts", &[]).await.unwrap();
    assert_eq!(first.ledger("contacts").try_collect::<Vec<_>>().await.unwrap(), []);
    let many: Vec<Entry> = (0..12_000).map(|id| entry(&id.to_string(), id)).collect();
    first.append_ledger("contacts", &many).await.unwrap();
    let second = Workspace::new(Arc::clone(&store), "sales", "acme");
    second.append_ledger("contacts", &[entry("7", 70)]).await.unwrap();
    second.append_ledger("deals", &[entry("1", 1)]).await.unwrap();
    let read: Vec<Entry> = second.ledger("contacts").try_collect().await.unwrap();
    assert_eq!(read[..12_000], many);
    assert_eq!(read[12_000..], [entry("7", 70)]);
    // the one that was thought dead comes back: it cannot write over its successor's segment
    let refused = first.append_ledger("contacts", &[entry("7", 71)]).await.unwrap_err();
    assert!(
        refused.to_string().contains("another worker has written it"),
        "{refused}"
    );
    assert_eq!(second.ledger("contacts").try_collect::<Vec<_>>().await.unwrap(), read);
    second.drop_ledgers().await.unwrap();
    assert_eq!(second.ledger("contacts").try_collect::<Vec<_>>().await.unwrap(), []);
    second.append_ledger("contacts", &[entry("1", 1)]).await.unwrap();
    assert_eq!(paths(&second).await, [Path::from("ledger/contacts/00000001.jsonl.zst")]);
}

#[tokio::test]
async fn a_ledger_with_a_segment_lost_or_torn_is_an_error_and_a_kill_while_writing_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let workspace = Workspace::local(scratch.path(), "sales", "acme").unwrap();
    for id in 1..=3 {
        workspace.append_ledger("contacts", &[entry("1", id)]).await.unwrap();
    }
    let dir = scratch.path().join("sales/acme/ledger/contacts");
    // what a process leaves that is killed before its rename
    std::fs::write(dir.join("00000004.jsonl.zst#1"), "half").unwrap();
    let again = Workspace::local(scratch.path(), "sales", "acme").unwrap();
    assert_eq!(again.ledger("contacts").try_collect::<Vec<_>>().await.unwrap().len(), 3);
    again.append_ledger("contacts", &[entry("1", 4)]).await.unwrap();
    assert_eq!(again.ledger("contacts").try_collect::<Vec<_>>().await.unwrap().len(), 4);

    let path = dir.join("00000002.jsonl.zst");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let read: Result<Vec<Entry>, _> = again.ledger("contacts").try_collect().await;
        assert!(matches!(read, Err(WorkspaceError::Damaged { .. })), "{length}");
    }
    std::fs::remove_file(&path).unwrap();
    let read: Result<Vec<Entry>, _> = again.ledger("contacts").try_collect().await;
    let missing = "ledger/contacts/00000002.jsonl.zst is damaged: it is not there";
    assert_eq!(read.unwrap_err().to_string(), missing);
}

#[tokio::test]
async fn former_values_are_kept_in_order() {
    let workspace = in_memory();
    let former = |name: &str| Former {
        key: SourceKey("1".into()),
        model: OdooModel("res.partner".into()),
        id: 7,
        fields: json!({"phone": false, "name": name}).as_object().unwrap().clone(),
        when: Some("2026-11-25T22:00:00Z".parse().unwrap()),
        why: Why::Written,
    };
    workspace.append_undo("contacts", &[former("a")]).await.unwrap();
    workspace.append_undo("contacts", &[former("b")]).await.unwrap();
    // what a version before this one wrote
    let old: Former = serde_json::from_value(json!({"key": "1", "model": "m", "id": 7, "fields": {}})).unwrap();
    assert_eq!((old.when, old.why), (None, Why::Adopted));
    workspace.drop_ledgers().await.unwrap();
    let read: Vec<Former> = workspace.undo("contacts").try_collect().await.unwrap();
    assert_eq!(read, [former("a"), former("b")]);
}

#[tokio::test]
async fn results_are_put_whole_and_carry_no_formula() {
    let scratch = tempfile::tempdir().unwrap();
    let workspace = Workspace::local(scratch.path(), "sales", "acme").unwrap();
    let mut results = workspace.results("contacts");
    let row = ResultRow {
        key: "-1".into(),
        external_id: "contacts_-1".into(),
        id: Some(7),
        outcome: Some(Outcome::Failed),
        code: "Refused".into(),
        field: "name".into(),
        message: "=HYPERLINK(\"x\"),\nsecond line".into(),
    };
    results.push(ResultKind::Failed, &row).await.unwrap();
    assert_eq!(paths(&workspace).await, []);
    let files = results.finish().await.unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        names,
        ["succeeded", "failed", "rejected", "unprocessed", "noted", "held"]
            .map(|name| format!("results/contacts/{name}.csv"))
    );
    let header = "key,external_id,id,outcome,code,field,message\n";
    let text = |name: &str| std::fs::read_to_string(scratch.path().join("sales/acme").join(name)).unwrap();
    assert_eq!(text("results/contacts/succeeded.csv"), header);
    let failed = text("results/contacts/failed.csv");
    let line = "'-1,contacts_-1,7,Failed,Refused,name,\"'=HYPERLINK(\"\"x\"\"),\nsecond line\"\n";
    assert_eq!(failed, format!("{header}{line}"));
    assert_eq!(files[1].digest, Digest::of(failed.as_bytes()).to_string());
}

#[tokio::test]
async fn reasons_are_counted_in_a_file_of_their_own() {
    let workspace = in_memory();
    let reason = crate::api::phase_run::RejectReason {
        object: "contacts".into(),
        kind: crate::api::phase_run::ReasonKind::Noted,
        code: "FractionCut".into(),
        field: "x_at".into(),
        count: 12,
        example: "=7".into(),
    };
    let file = workspace.put_reasons("contacts", &[reason]).await.unwrap();
    assert_eq!(file.path, "results/contacts/reasons.csv");
    let bytes = workspace.get(&Path::from(file.path.as_str())).await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "outcome,code,field,count,example\nNoted,FractionCut,x_at,12,'=7\n"
    );
}

#[tokio::test]
async fn large_results_are_written_in_parts() {
    let workspace = in_memory();
    let mut results = workspace.results("contacts");
    let row = ResultRow {
        message: "m".repeat(1000),
        ..ResultRow::default()
    };
    for _ in 0..12_000 {
        results.push(ResultKind::Rejected, &row).await.unwrap();
    }
    let files = results.finish().await.unwrap();
    let bytes = workspace
        .get(&Path::from(files[2].path.as_str()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(files[2].digest, Digest::of(&bytes).to_string());
    assert_eq!(csv::Reader::from_reader(bytes.as_slice()).records().count(), 12_000);
}

#[tokio::test]
async fn a_copy_of_nothing_leaves_nothing() {
    let workspace = in_memory();
    workspace.put_file("stock/x.csv", b"old".to_vec()).await.unwrap();
    workspace.keep_copy("handover/x.csv", "stock/x.csv").await.unwrap();
    assert!(workspace.read_table("stock/x.csv").await.unwrap().is_none());
}

proptest! {
    #[test]
    fn every_cell_of_the_results_can_be_read_back(cell in "['=+@\\-\t\r\na]{0,4}") {
        let shielded = table::shield(&cell);
        prop_assert!(!shielded.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
        prop_assert_eq!(table::unshield(&shielded), cell.as_str());
    }

    #[test]
    fn a_table_is_read_back_as_it_was_written(rows in prop::collection::vec(("[a-z0-9]{1,3}", ".{0,40}", "['=\"\r\n,;\t é]{0,3000}"), 0..8)) {
        let workspace = in_memory();
        let read = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut table = workspace.table("handover/x.csv", ["key", "a", "=b"]);
            for (key, a, b) in &rows {
                table.push(&[key, a, b]).await.unwrap();
            }
            let written = table.finish().await.unwrap();
            workspace.keep_copy("handover/x.csv", "stock/x.csv").await.unwrap();
            let mut reader = workspace.read_table("stock/x.csv").await.unwrap().unwrap();
            let mut read = Vec::new();
            while let Some(row) = reader.next().await.unwrap() {
                read.push(row);
            }
            assert_eq!(reader.file().digest, written.digest);
            read
        });
        let header = vec!["key".to_owned(), "a".to_owned(), "=b".to_owned()];
        let wanted: Vec<Vec<String>> = std::iter::once(header).chain(rows.into_iter().map(|(key, a, b)| vec![key, a, b])).collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn sorting_in_files_is_sorting_in_memory(keys in prop::collection::vec("[a-c]{0,2}", 0..60), memory in 0usize..2000) {
        let lines: Vec<(String, Line)> = keys.into_iter().enumerate().map(|(id, key)| (key, record(id, "t"))).collect();
        let mut wanted = lines.clone();
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        let scratch = tempfile::tempdir().unwrap();
        let sorted: Vec<Line> = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let stream = futures::stream::iter(lines.into_iter().map(Ok));
            sort_lines(stream, scratch.path(), memory).await.unwrap().try_collect().await.unwrap()
        });
        prop_assert_eq!(sorted, wanted.into_iter().map(|(_, line)| line).collect::<Vec<_>>());
        prop_assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
