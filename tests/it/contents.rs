//! Content that records name: files and links into attachments and binary fields, with every fault on the way. Against the Odoo
//! in memory, and against the server at `ODOO_URL` when it is set, over each of its APIs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use crmferry::{
    api::phase_run::{ObjectReport, PhaseRunStatus, Step},
    args,
    model::Content,
    odoo::rpc::{Args, Rpc},
    worker::destination::Door,
};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    real,
    steps::{Bench, sound},
};

/// What a server says to whom asks for a path.
type Answers = dyn Fn(&str, &str) -> Vec<u8> + Send + Sync;

/// A server that answers as it is told and remembers what it was asked.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: Arc<Answers>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = asked.clone();
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else {
                    return;
                };
                let (answers, log) = (answers.clone(), log.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut piece = [0; 4096];
                    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                        match stream.read(&mut piece).await {
                            Ok(0) | Err(_) => return,
                            Ok(read) => head.extend_from_slice(&piece[..read]),
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let path = target.split('?').next().unwrap_or_default().to_owned();
                    log.lock().unwrap().push(target);
                    let _ = stream.write_all(&answers(&path, &head.to_lowercase())).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, asked }
    }

    fn link(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|target| target.starts_with(path)).count()
    }
}

/// An answer with a length of its own choice.
fn answer(status: &str, headers: &str, length: Option<usize>, body: &[u8]) -> Vec<u8> {
    let length = length.map_or_else(String::new, |length| format!("Content-Length: {length}\r\n"));
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", "", Some(body.len()), body)
}

/// Attachments of companies and of contacts, found by kind.
fn mapping(on_missing: &str) -> Json {
    json!({
        "source": {"platform": "Pipz"},
        "objects": [
            {"name": "companies", "source": {"object": "company"}, "key": ["id"], "kinds": ["Company"],
             "destination": {"model": "res.partner"},
             "fields": [{"to": "name", "from": "name"}, {"to": "is_company", "constant": "yes"}]},
            {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "kinds": ["Contact"],
             "destination": {"model": "res.partner"},
             "fields": [{"to": "name", "from": "name"}, {"to": "x_card", "fetch": "card", "create": {"type": "Binary"}}]},
            {"name": "files", "source": {"object": "file"}, "key": ["id"],
             "destination": {"model": "ir.attachment"},
             "fields": [
                {"to": "name", "from": "name"},
                {"to": "mimetype", "from": "mime", "onEmpty": "Skip"},
                {"to": "x_source_created", "from": "created", "create": {"type": "DateTime", "label": "Created in the source"}},
                {"to": "res_id", "from": "owner", "lookup": {"kind": "kind"}, "onMissing": "Empty"},
                {"to": "datas", "fetch": "path", "onMissing": on_missing}]}]
    })
}

const COMPANIES: &str = "id,name\n1,Acme\n";
const CONTACTS: &str = "id,name,card\n1,Ana,cards/ana.vcf\n2,Bia,\n";
const HEAD: &str = "id,name,path,kind,owner,created,mime\n";

fn put(bench: &Bench, path: &str, bytes: &[u8]) {
    let file = bench.folder().join("exports").join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
}

fn prepare(bench: &Bench, files: &str) {
    bench.export("company.csv", COMPANIES);
    bench.export("contact.csv", CONTACTS);
    bench.export("file.csv", &format!("{HEAD}{files}"));
    put(bench, "cards/ana.vcf", b"BEGIN:VCARD");
}

fn of<'a>(reports: &'a [ObjectReport], object: &str) -> &'a ObjectReport {
    reports.iter().find(|report| report.name == object).unwrap()
}

/// Created, updated, unchanged, rejected.
fn counts(report: &ObjectReport) -> (i64, i64, i64, i64) {
    let book = report.book;
    (book.created, book.updated, book.unchanged, book.rejected)
}

fn rpc(bench: &Bench) -> Arc<dyn Rpc> {
    match &bench.door {
        Door::Memory(memory) => memory.clone(),
        Door::Server { .. } => real::server().unwrap().json2(),
    }
}

async fn call(bench: &Bench, model: &str, method: &str, args: Args) -> Json {
    rpc(bench).call(model, method, args).await.unwrap()
}

/// The attachments of an object, by their external ids' tails.
async fn attachments(bench: &Bench, fields: &[&str]) -> BTreeMap<String, Json> {
    let module = format!("crmferry_pipz_{}", bench.migration.spec.source.account);
    let domain = json!([["module", "=", module], ["model", "=", "ir.attachment"]]);
    let names = args!({"domain": domain, "fields": ["name", "res_id"]});
    let names = call(bench, "ir.model.data", "search_read", names).await;
    let ids: Vec<&Json> = names.as_array().unwrap().iter().map(|row| &row["res_id"]).collect();
    let rows = args!({"domain": [["id", "in", ids]], "fields": fields, "load": null});
    let rows = call(bench, "ir.attachment", "search_read", rows).await;
    let row = |id: &Json| rows.as_array().unwrap().iter().find(|row| row["id"] == *id).cloned();
    let tail = |row: &Json| row["name"].as_str().unwrap().trim_start_matches("files_").to_owned();
    names
        .as_array()
        .unwrap()
        .iter()
        .map(|name| (tail(name), row(&name["res_id"]).unwrap()))
        .collect()
}

fn is(row: &Json, bytes: &[u8]) -> bool {
    let content = Content::of(bytes);
    row["file_size"] == json!(content.size) && (content.size == 0 || row["checksum"] == json!(content.sha1))
}

async fn delta(bench: &mut Bench) -> PhaseRunStatus {
    bench.done(Step::Delta, None).await
}

/// The codes of the reasons of an object.
fn codes(status: &PhaseRunStatus) -> Vec<(String, i64)> {
    let mut codes: Vec<(String, i64)> = status
        .reasons
        .iter()
        .map(|reason| (reason.code.clone(), reason.count))
        .collect();
    codes.sort();
    codes
}

#[tokio::test]
async fn files_hang_on_their_records_and_a_second_run_sends_nothing() {
    let mut bench = Bench::new(mapping("Reject"));
    prepare(
        &bench,
        "1,contract.pdf,files/contract.pdf,Company,1,2024-05-01T10:00:00Z,application/pdf\n2,empty,files/empty,Contact,1,,\n\
         3,same,files/copy.bin,Contact,2,,\n",
    );
    put(&bench, "files/contract.pdf", b"%PDF-1.7 contract");
    put(&bench, "files/empty", b"");
    put(&bench, "files/copy.bin", b"%PDF-1.7 contract");
    let first = bench.all().await;
    sound(&first);
    assert_eq!(counts(of(&first, "files")), (3, 0, 0, 0));
    let fields = [
        "name",
        "mimetype",
        "checksum",
        "file_size",
        "res_model",
        "x_source_created",
    ];
    let found = attachments(&bench, &fields).await;
    assert!(is(&found["1"], b"%PDF-1.7 contract") && is(&found["2"], b"") && is(&found["3"], b"%PDF-1.7 contract"));
    assert_eq!(found["1"]["mimetype"], "application/pdf");
    assert_eq!(found["1"]["x_source_created"], "2024-05-01 10:00:00");
    assert!(found.values().all(|row| row["res_model"] == "res.partner"));

    let card = json!([["res_model", "=", "res.partner"], ["res_field", "=", "x_card"]]);
    let card = args!({"domain": card, "fields": ["checksum", "file_size"]});
    let cards = call(&bench, "ir.attachment", "search_read", card).await;
    assert_eq!(cards.as_array().unwrap().len(), 1);
    assert!(is(&cards[0], b"BEGIN:VCARD"));

    bench.run = 2;
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(of(&second, "files")), (0, 0, 3, 0));
    assert_eq!(counts(of(&second, "contacts")), (0, 0, 2, 0));
}

#[tokio::test]
async fn a_delta_sees_content_that_changed_under_the_same_name() {
    let mut bench = Bench::new(mapping("Reject"));
    prepare(&bench, "1,a,files/a,Company,1,,\n2,b,files/b,Company,1,,\n");
    put(&bench, "files/a", b"one");
    put(&bench, "files/b", b"two");
    sound(&bench.all().await);
    let quiet = delta(&mut bench).await.delta.unwrap();
    assert_eq!((quiet.changed, quiet.gone), (0, 0));
    put(&bench, "files/a", b"another");
    let status = delta(&mut bench).await;
    assert_eq!(status.delta.as_ref().map(|delta| delta.changed), Some(1));
    sound(&status.objects);
    let found = attachments(&bench, &["checksum", "file_size"]).await;
    assert!(is(&found["1"], b"another") && is(&found["2"], b"two"));
}

#[tokio::test]
async fn content_that_is_not_to_be_had_any_more_stays_what_it_was() {
    let mut bench = Bench::new(mapping("Empty"));
    prepare(&bench, "1,a,files/a,Company,1,,\n");
    put(&bench, "files/a", b"one");
    sound(&bench.all().await);
    std::fs::remove_dir_all(bench.folder().join("exports/files")).unwrap();
    bench.run = 2;
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(of(&second, "files")), (0, 0, 1, 0));
    assert!(is(&attachments(&bench, &["checksum", "file_size"]).await["1"], b"one"));
}

#[tokio::test]
async fn no_name_leads_out_of_the_export_folder() {
    let mut bench = Bench::new(mapping("Reject"));
    prepare(
        &bench,
        "1,up,../secret.txt,Company,1,,\n2,absolute,/etc/hostname,Company,1,,\n3,link,files/link,Company,1,,\n\
         4,folder,files/out/secret.txt,Company,1,,\n5,inside,files/inside,Company,1,,\n6,gone,files/gone,Company,1,,\n\
         7,scheme,file:///etc/hostname,Company,1,,\n8,a folder,files,Company,1,,\n",
    );
    std::fs::write(bench.folder().join("secret.txt"), "secret").unwrap();
    put(&bench, "files/a", b"fine");
    let files = bench.folder().join("exports/files");
    std::os::unix::fs::symlink(bench.folder().join("secret.txt"), files.join("link")).unwrap();
    std::os::unix::fs::symlink(bench.folder(), files.join("out")).unwrap();
    std::os::unix::fs::symlink(files.join("a"), files.join("inside")).unwrap();
    bench.done(Step::Discover, None).await;
    bench.done(Step::Extract, None).await;
    let status = bench.done(Step::Rehearse, None).await;
    let files = status.objects.iter().find(|report| report.name == "files").unwrap();
    assert_eq!((files.book.created, files.book.rejected), (1, 7), "{files:#?}");
    assert_eq!(
        codes(&status),
        [("NotAllowed".to_owned(), 5), ("NotThere".to_owned(), 2)],
        "{:#?}",
        status.reasons
    );
    let kept = walk(&bench.folder().join("content"));
    assert!(
        !kept.iter().any(|bytes| bytes == b"secret"),
        "nothing of it was even copied"
    );
}

/// The bytes of every file below a folder.
fn walk(folder: &std::path::Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(walk(&path));
        } else {
            all.push(std::fs::read(path).unwrap());
        }
    }
    all
}

/// A server with a good file and every fault; `elsewhere` is where it sends people to.
async fn faulty(elsewhere: String) -> Server {
    let large = vec![7_u8; 1_200_000];
    Server::start(Arc::new(move |path, head| match path {
        "/fine" if head.contains("if-none-match: \"v1\"") => answer("304 Not Modified", "", None, b""),
        "/fine" => answer("200 OK", "ETag: \"v1\"\r\n", Some(4), b"fine"),
        "/near" => answer("302 Found", "Location: /fine\r\n", Some(0), b""),
        "/far" => answer("302 Found", &format!("Location: {elsewhere}/stolen\r\n"), Some(0), b""),
        "/round" => answer("302 Found", "Location: /round\r\n", Some(0), b""),
        "/forbidden" => answer("403 Forbidden", "", Some(0), b""),
        "/cut" => answer("200 OK", "", Some(100), b"only this"),
        "/large" => ok(&large),
        "/endless" => answer("200 OK", "", None, &large),
        _ => answer("404 Not Found", "", Some(0), b""),
    }))
    .await
}

#[tokio::test]
async fn links_are_followed_to_allowed_hosts_and_every_fault_is_told() {
    let elsewhere = Server::start(Arc::new(|_, _| ok(b"stolen"))).await;
    let server = faulty(elsewhere.link("")).await;
    let paths = [
        "/fine?token=T0KEN",
        "/near",
        "/far",
        "/round",
        "/forbidden",
        "/cut",
        "/large",
        "/endless",
        "/gone",
    ];
    let mut rows = String::new();
    for (place, path) in paths.iter().enumerate() {
        writeln!(rows, "{place},f{place},{},Company,1,,", server.link(path)).unwrap();
    }
    writeln!(rows, "20,other,{},Company,1,,", elsewhere.link("/stolen")).unwrap();
    rows.push_str("21,id,42,Company,1,,\n");
    let source = json!({
        "account": "acme", "files": {"path": "exports/"},
        "content": {"hosts": [format!("127.0.0.1:{}", server.port)], "maxMebibytes": 1, "insecure": true}
    });
    let mut bench = Bench::from(&source, mapping("Reject"));
    prepare(&bench, &rows);
    bench.done(Step::Discover, None).await;
    bench.done(Step::Extract, None).await;
    let status = bench.done(Step::Rehearse, None).await;
    let files = status.objects.iter().find(|report| report.name == "files").unwrap();
    assert_eq!((files.book.created, files.book.rejected), (2, 9), "{files:#?}");
    let wanted = [
        ("Broken", 1),
        ("NotAllowed", 3),
        ("NotThere", 2),
        ("Refused", 1),
        ("TooLarge", 2),
    ];
    let wanted: Vec<(String, i64)> = wanted
        .iter()
        .map(|(code, count)| ((*code).to_owned(), *count))
        .collect();
    assert_eq!(codes(&status), wanted, "{:#?}", status.reasons);
    assert_eq!(elsewhere.asked(""), 0, "nothing may be asked of another host");
    assert_eq!(server.asked("/cut"), 3, "what breaks off is asked for again");
    let told = serde_json::to_string(&status).unwrap();
    assert!(!told.contains("T0KEN"), "a query may hold a key");
}

#[tokio::test]
async fn what_cannot_be_had_is_left_empty_where_that_was_said_and_noted() {
    let mut bench = Bench::new(mapping("Empty"));
    prepare(&bench, "1,a,files/a,Company,1,,\n2,b,files/gone,Company,1,,\n");
    put(&bench, "files/a", b"one");
    bench.done(Step::Discover, None).await;
    bench.done(Step::Extract, None).await;
    let status = bench.done(Step::Rehearse, None).await;
    assert_eq!(codes(&status), [("NotThere".to_owned(), 1)]);
    bench.done(Step::Schema, None).await;
    for object in ["companies", "contacts", "files"] {
        sound(&bench.done(Step::Load, Some(object)).await.objects);
    }
    let found = attachments(&bench, &["checksum", "file_size"]).await;
    assert!(is(&found["1"], b"one") && is(&found["2"], b""));
}

#[tokio::test]
async fn a_second_reading_asks_only_whether_content_changed_and_a_retry_asks_nothing() {
    let server = faulty(String::new()).await;
    let source = json!({
        "account": "acme", "files": {"path": "exports/"},
        "content": {"hosts": [format!("127.0.0.1:{}", server.port)], "insecure": true}
    });
    let mut bench = Bench::from(&source, mapping("Reject"));
    prepare(&bench, &format!("1,a,{},Company,1,,\n", server.link("/fine")));
    sound(&bench.all().await);
    assert_eq!(server.asked("/fine"), 1);
    let quiet = delta(&mut bench).await.delta.unwrap();
    assert_eq!((quiet.changed, server.asked("/fine")), (0, 2), "a conditional request");

    // as an attempt leaves it that was killed while it read
    let reading = bench.folder().join("content/reading.json");
    let text = std::fs::read_to_string(&reading).unwrap();
    std::fs::write(&reading, text.replace("true", "false")).unwrap();
    bench.done(Step::Extract, None).await;
    assert_eq!(
        server.asked("/fine"),
        2,
        "what this reading has, it does not ask for again"
    );
}

#[tokio::test]
async fn a_mutilated_content_is_a_mismatch_and_a_persons_is_theirs() {
    let mut bench = Bench::new(mapping("Reject"));
    prepare(&bench, "1,a,files/a,Company,1,,\n2,b,files/b,Company,1,,\n");
    put(&bench, "files/a", b"one");
    put(&bench, "files/b", b"two");
    sound(&bench.all().await);
    let ids = attachments(&bench, &["id"]).await;
    let write = |datas: &str, id: &Json| args!({"ids": [id["id"]], "vals": {"datas": datas}});
    // "onX", written as the migration's user: nobody else can have done it
    call(&bench, "ir.attachment", "write", write("b25Y", &ids["1"])).await;
    // and before anybody had read back what was written
    std::fs::write(
        bench.folder().join("proof/files.json"),
        r#"{"proved": false, "mismatched": null}"#,
    )
    .unwrap();
    let persons = write("dHdY", &ids["2"]);
    bench.memory.call_as(7, "ir.attachment", "write", &persons).unwrap();
    let (exit, status) = bench.step(Step::Load, Some("files")).await;
    let verification = status.objects[0].verification.unwrap();
    assert_eq!(
        (
            verification.mismatched,
            verification.edited_by_user,
            verification.verified
        ),
        (1, 1, false),
        "{exit:?} {:#?}",
        status.reasons
    );
}

#[tokio::test]
async fn content_that_is_written_over_is_kept() {
    let mut spec = mapping("Reject");
    spec["onConflict"] = json!("Overwrite");
    let mut bench = Bench::new(spec);
    prepare(&bench, "1,a,files/a,Company,1,,\n");
    put(&bench, "files/a", b"one");
    sound(&bench.all().await);
    let ids = attachments(&bench, &["id"]).await;
    let persons = args!({"ids": [ids["1"]["id"]], "vals": {"datas": "dHdY"}});
    bench.memory.call_as(7, "ir.attachment", "write", &persons).unwrap();
    sound(&bench.done(Step::Load, Some("files")).await.objects);
    assert!(is(&attachments(&bench, &["checksum", "file_size"]).await["1"], b"one"));
    let sha256 = Content::of(b"twX").sha256.unwrap();
    let kept = bench.folder().join("content").join(&sha256[..2]).join(&sha256);
    assert_eq!(std::fs::read(kept).unwrap(), b"twX");
}

#[tokio::test]
async fn notes_keep_their_time_and_carry_their_attachments() {
    let mut bench = Bench::new(json!({
        "source": {"platform": "Pipz"},
        "objects": [
            {"name": "companies", "source": {"object": "company"}, "key": ["id"], "kinds": ["Company"],
             "destination": {"model": "res.partner"},
             "fields": [{"to": "name", "from": "name"}]},
            {"name": "files", "source": {"object": "file"}, "key": ["id"], "destination": {"model": "ir.attachment"},
             "fields": [{"to": "name", "from": "name"}, {"to": "raw", "fetch": "path"}]},
            {"name": "notes", "source": {"object": "note", "orderBy": "created"}, "key": ["id"],
             "destination": {"model": "mail.message"},
             "fields": [
                {"to": "res_id", "from": "owner", "lookup": {"kind": "kind"}},
                {"to": "body", "cel": "html(record.text)"},
                {"to": "date", "from": "created"},
                {"to": "message_type", "constant": "comment"},
                {"to": "subtype_id", "constant": "mail.mt_note", "lookup": {"model": "mail.message.subtype", "by": "id"}},
                {"to": "attachment_ids", "from": "files", "lookup": {"object": "files"}}]}]
    }));
    bench.export("company.csv", COMPANIES);
    bench.export("file.csv", &format!("{HEAD}9,offer.pdf,files/offer.pdf,,,,\n"));
    put(&bench, "files/offer.pdf", b"offer");
    bench.export(
        "note.csv",
        "id,text,kind,owner,created,files\n2,Second,Company,1,2024-02-01T00:00:00Z,\n1,First & best,Company,1,2024-01-01T08:30:00Z,9\n",
    );
    let first = bench.all().await;
    sound(&first);
    let notes = args!({"domain": [["model", "=", "res.partner"], ["attachment_ids", "!=", false]],
                       "fields": ["date", "body", "attachment_ids", "subtype_id"], "load": null});
    let notes = call(&bench, "mail.message", "search_read", notes).await;
    assert_eq!(notes[0]["date"], "2024-01-01 08:30:00");
    assert_eq!(notes[0]["attachment_ids"].as_array().unwrap().len(), 1);
    assert!(is(
        &attachments(&bench, &["checksum", "file_size"]).await["9"],
        b"offer"
    ));
}

/// Bytes that nothing compresses and no two files share.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size.min(MIB) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    while bytes.len() < size {
        bytes.extend_from_within(..MIB.min(size - bytes.len()));
    }
    bytes.truncate(size);
    bytes
}

/// The most memory that this process ever had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

const MIB: usize = 1 << 20;

/// Sizes up to 30 MiB, once; a tenth of that elsewhere, since a build for tests takes minutes for it.
fn size_of(number: usize, way: &str) -> usize {
    let tenth = if way == "json2" { 1 } else { 10 };
    match number {
        0 => 0,
        1..=9 => number,
        10 | 11 => 30 * MIB / tenth,
        12..=15 => 5 * MIB / tenth + number,
        _ => number * 97,
    }
}

fn odd_name(number: usize) -> String {
    let names = [
        "plain.pdf",
        "com espaço.pdf",
        "ação — ü.docx",
        "договор.pdf",
        "100%.txt",
        "a#b?c.txt",
        "tilde~.bin",
        "[x]{y}.csv",
        "semi;colon,comma.txt",
        "quote\".txt",
        "no_extension",
        "..dots..",
        "日本語.png",
        "+plus&and=.txt",
        "'single'.txt",
        ".hidden",
    ];
    format!("{number}/{}", names[number % names.len()])
}

#[tokio::test]
async fn odoo_takes_two_hundred_files_of_any_size_and_name_and_memory_stays_flat() {
    for way in ["memory", "json2", "xmlrpc"] {
        let mut bench = Bench::new(mapping("Reject"));
        if way != "memory" {
            if real::server().is_none() {
                continue;
            }
            bench.at_the_server(way);
        }
        two_hundred_files(&mut bench, way).await;
    }
}

async fn two_hundred_files(bench: &mut Bench, way: &str) {
    let mut rows = String::new();
    for number in 0..200 {
        let name = odd_name(number);
        put(
            bench,
            &format!("files/{name}"),
            &noise(number as u64, size_of(number, way)),
        );
        let quoted = name.replace('"', "\"\"");
        writeln!(
            rows,
            "{number},\"{quoted}\",\"files/{quoted}\",Company,1,2024-01-01T00:00:00Z,"
        )
        .unwrap();
    }
    prepare(bench, &rows);
    let before = peak();
    let began = std::time::Instant::now();
    let first = bench.all().await;
    let took = began.elapsed();
    let after = peak();
    sound(&first);
    assert_eq!(counts(of(&first, "files")), (200, 0, 0, 0));
    let found = attachments(bench, &["name", "checksum", "file_size", "res_model"]).await;
    for number in 0..200 {
        let row = &found[&number.to_string()];
        assert!(is(row, &noise(number as u64, size_of(number, way))), "{number}: {row}");
        assert_eq!(
            (&row["name"], &row["res_model"]),
            (&json!(odd_name(number)), &json!("res.partner"))
        );
    }
    bench.run = 2;
    let began = std::time::Instant::now();
    let second = bench.all().await;
    sound(&second);
    assert_eq!(counts(of(&second, "files")), (0, 0, 200, 0));
    println!(
        "{way}: 200 files, {} MiB, in {took:?}; again in {:?}; peak {before} MiB before, {after} MiB after",
        (0..200).map(|number| size_of(number, way)).sum::<usize>() / MIB,
        began.elapsed(),
    );
    // the largest file is 30 MiB: what one call needs of it, never all of them
    assert!(after < 512, "{way}: {after} MiB");
    if way != "memory" {
        bench.clear_contents().await;
    }
}

impl Bench {
    /// At the real server, by an API of its own, under a name that no other test has.
    fn at_the_server(&mut self, way: &str) {
        let secret = self.root.path().join("secret");
        std::fs::create_dir_all(&secret).unwrap();
        let words: &[(&str, &str)] = match way {
            "json2" => &[("apiKey", "ODOO_API_KEY")],
            _ => &[("login", "ODOO_LOGIN"), ("password", "ODOO_API_KEY")],
        };
        for (key, variable) in words {
            std::fs::write(secret.join(key), std::env::var(variable).unwrap()).unwrap();
        }
        self.door = Door::Server {
            ca: secret.join("none"),
            secret,
        };
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let odoo = &mut self.migration.spec.destination.odoo;
        odoo.url = std::env::var("ODOO_URL").unwrap();
        odoo.database = std::env::var("ODOO_DB").unwrap();
        odoo.limits = serde_json::from_value(json!({"profile": "SelfHosted"})).unwrap();
        self.migration.spec.source.account = format!("t{nanos}");
    }

    /// Takes away what a test left on the server, lock and marks too.
    async fn clear_contents(&self) {
        let ours = format!("crmferry_pipz_{}", self.migration.spec.source.account);
        for model in ["ir.attachment", "res.partner"] {
            let domain = json!([["module", "=", ours], ["model", "=", model]]);
            let made = args!({"domain": domain, "fields": ["res_id"]});
            let made = call(self, "ir.model.data", "search_read", made).await;
            let ids: Vec<&Json> = made.as_array().unwrap().iter().map(|row| &row["res_id"]).collect();
            call(self, model, "unlink", args!({"ids": ids})).await;
        }
        let keys = args!({"domain": [["key", "=like", "crmferry.%"]]});
        let keys = call(self, "ir.config_parameter", "search", keys).await;
        call(self, "ir.config_parameter", "unlink", args!({"ids": keys})).await;
    }
}
