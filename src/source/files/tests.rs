use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use proptest::prelude::*;
use serde_json::json;

use super::window::{CELL_MAX, RECORD_MAX};
use super::*;

/// What a file gives when its bytes come in chunks of `step`.
fn read(name: &str, bytes: &[u8], step: usize) -> Result<Vec<Item>, String> {
    let (_, format) = recognise(name).unwrap();
    let mut survey = Survey::default();
    bytes.chunks(step).for_each(|chunk| survey.push(chunk));
    let mut decoder = Decoder::new(survey.finish());
    let mut reader = Reader::new(name.to_owned(), format);
    let mut chunks = bytes.chunks(step);
    let mut items = Vec::new();
    loop {
        match reader.step()? {
            Step::Item(item) => items.push(item),
            Step::End => return Ok(items),
            Step::More => {
                let chunk = chunks.next();
                let window = reader.window();
                decoder.decode(chunk.unwrap_or_default(), chunk.is_none(), window.grow());
                if chunk.is_none() {
                    window.end();
                }
            }
        }
    }
}

/// Items as short text: a record as its JSON, a broken line as its message.
fn shown(items: Result<Vec<Item>, String>) -> Vec<String> {
    match items {
        Err(message) => vec![format!("UNUSABLE {message}")],
        Ok(items) => items
            .into_iter()
            .map(|item| match item {
                Item::Record(record) => Value::Object(record).to_string(),
                Item::Broken(rejection) => rejection.message,
            })
            .collect(),
    }
}

type Value = crate::model::Value;

fn check(name: &str, bytes: &[u8], wanted: &[&str]) {
    for step in [1, 2, 3, 7, 1 << 16] {
        let got = shown(read(name, bytes, step));
        assert_eq!(got, wanted, "{:?} in chunks of {step}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn csv_dirt_is_read_or_rejected_with_file_line_and_reason() {
    let two = [r#"{"a":"1","b":"2"}"#, r#"{"a":"3","b":"4"}"#];
    let tables: &[(&str, &[&str])] = &[
        ("a,b\n1,2\n3,4\n", &two),
        ("a;b\n1;2\n3;4", &two),
        ("a\tb\r\n1\t2\r\n3\t4\r\n", &two),
        ("a|b\r1|2\r3|4\r", &two),
        ("\n\r\na,b\n\n1,2\n\r\n\n3,4\n\n", &two),
        (" a , b\u{FEFF}\n1,2\n   \n3,4\n", &two),
        ("\u{FEFF}\"a\",\"b\"\n\"1\",\"2\"\n\"3\",4\n", &two),
        ("a,b\n", &[]),
        ("a,b", &[]),
        ("name\nJo\u{e3}o \u{1F600}\n", &["{\"name\":\"João 😀\"}"]),
        // quotes
        (
            "a,b\n\"x, y\",\"say \"\"hi\"\"\"\n",
            &[r#"{"a":"x, y","b":"say \"hi\""}"#],
        ),
        (
            "a,b\n1,\"two\r\nlines\"\n3,4\n",
            &[r#"{"a":"1","b":"two\r\nlines"}"#, two[1]],
        ),
        ("a,b\n5\" pipe,\"\"\n", &[r#"{"a":"5\" pipe","b":""}"#]),
        ("a,b\n, \n", &[r#"{"a":"","b":" "}"#]),
        // short, long
        (
            "a,b\n1\n3,4\n",
            &["line 2 of c.csv: 1 field where the header has 2", two[1]],
        ),
        (
            "a,b\n\n1,2,3\n3,4\n",
            &["line 3 of c.csv: 3 fields where the header has 2", two[1]],
        ),
        // the delimiter is not guessed from what stands in quotes
        ("\"a,x\";b\n\"1,1\";2\n", &[r#"{"a,x":"1,1","b":"2"}"#]),
        ("a;b\n1,5;2,5\n", &[r#"{"a":"1,5","b":"2,5"}"#]),
    ];
    for (text, wanted) in tables {
        check("c.csv", text.as_bytes(), wanted);
    }
}

#[test]
fn a_broken_quote_costs_one_line() {
    let four = r#"{"a":"3","b":"4"}"#;
    let misquoted = "line 2 of c.csv: a quote is not closed, or text follows a closing quote";
    let tables: &[(&str, &[&str])] = &[
        // never closed
        ("a,b\n\"1,2\n3,4\n", &[misquoted_or_count(), four]),
        ("a,b\n1,\"2\n3,4\n", &[misquoted, four]),
        ("a,b\n1,\"2", &[misquoted]),
        // closed by the next quote, over several lines: three fields, or two that would swallow a line
        (
            "a,b\n\"1,2\nx\",2,3\n3,4\n",
            &[
                "line 2 of c.csv: 3 fields over 2 lines where the header has 2: a quote is broken",
                "line 3 of c.csv: 3 fields where the header has 2",
                four,
            ],
        ),
        ("a,b\n1,\"2\n3,\"4\"\n", &[misquoted, four]),
        // text after a closing quote would lose the quotes
        ("a,b\n\"Acme\" Ltda,2\n3,4\n", &[misquoted, four]),
    ];
    for (text, wanted) in tables {
        check("c.csv", text.as_bytes(), wanted);
    }
}

/// One field over two lines, the quote never closed.
fn misquoted_or_count() -> &'static str {
    "line 2 of c.csv: 1 field over 3 lines where the header has 2: a quote is broken"
}

#[test]
fn bytes_that_are_no_text_reject_their_line_only() {
    check(
        "c.csv",
        b"a,b\n1,\"x\ny\0\"\n3,4\n",
        &["line 3 of c.csv: a NUL byte", r#"{"a":"3","b":"4"}"#],
    );
    check(
        "c.csv",
        b"a,b\nJo\xC3\xA3o,2\n\xE3,2\n3,4\n",
        &[
            r#"{"a":"João","b":"2"}"#,
            "line 3 of c.csv: the cell of \"a\" is not valid in the encoding of the file",
            r#"{"a":"3","b":"4"}"#,
        ],
    );
    check("c.csv", b"a;b\nJo\xE3o;2\n", &[r#"{"a":"João","b":"2"}"#]);
    let utf16: Vec<u8> = "\u{FEFF}a,b\r\nJoão,\"x\ny\"\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    check("c.csv", &utf16, &[r#"{"a":"João","b":"x\ny"}"#]);
}

#[test]
fn a_header_that_cannot_be_used_is_said_in_a_sentence() {
    for (bytes, wanted) in [
        (
            b"a,,b\n1,2,3\n".as_slice(),
            "UNUSABLE field 2 of the header has no name, every field needs one",
        ),
        (
            b"a,b,a \n1,2,3\n",
            "UNUSABLE fields 1 and 3 of the header have the same name; is the first line a header?",
        ),
        (
            b"",
            "UNUSABLE the file is empty, a header with the names of the fields is expected",
        ),
        (
            b"\r\n",
            "UNUSABLE the file is empty, a header with the names of the fields is expected",
        ),
        (
            b"a\0,\0b\0\n\0",
            "UNUSABLE the header holds NUL bytes: if the file is UTF-16 it needs a byte order mark",
        ),
        (
            b"a,\"b\n1,2\n",
            "UNUSABLE the header cannot be read: a quote is not closed, or text follows a closing quote",
        ),
    ] {
        check("c.csv", bytes, &[wanted]);
    }
}

#[test]
fn a_cell_over_1_mib_rejects_its_first_line_and_is_not_kept() {
    let big = |size: usize, end: &str| {
        ["a,b\n1,\"x\n", &"y".repeat(size), end, "\n3,4\n"]
            .concat()
            .into_bytes()
    };
    let four = r#"{"a":"3","b":"4"}"#.to_owned();
    let fits = shown(read("c.csv", &big(CELL_MAX - 2, "\""), 8192));
    assert_eq!((fits.len(), fits.last()), (2, Some(&four)));
    let resumed = |size, step| shown(read("c.csv", &big(size, "\""), step));
    for step in [8192, 100_000, 20 << 20] {
        let got = resumed(10 << 20, step);
        assert_eq!(got[0], "line 2 of c.csv: cell 2 is over 1 MiB");
        // the rest of the cell is a line of its own
        assert_eq!(got[1], "line 3 of c.csv: cell 1 is over 1 MiB");
        assert_eq!((got.len(), &got[2]), (3, &four));
    }
    // a record of many cells
    let wide = [
        "a,b,c,d,e\n",
        &format!("{},", "z".repeat(CELL_MAX)).repeat(4),
        "z\n1,2,3,4,5\n",
    ]
    .concat();
    let got = shown(read("c.csv", wide.as_bytes(), 8192));
    assert_eq!(got.len(), 2);
    assert_eq!(got[0], "line 2 of c.csv: the record is over 4 MiB");
}

#[test]
fn a_reader_holds_no_more_than_its_bounds_of_a_10_mb_cell() {
    for (name, head) in [("c.csv", "a,b\n1,\""), ("c.jsonl", "{\"a\":\"")] {
        let mut reader = Reader::new(name.to_owned(), recognise(name).unwrap().1);
        let mut most = 0;
        for chunk in [head.as_bytes()].into_iter().chain(vec![[b'y'; 8192].as_slice(); 1280]) {
            reader.window().grow().extend_from_slice(chunk);
            while let Ok(Step::Item(_)) = reader.step() {}
            most = most.max(reader.window().rest().len());
        }
        assert!(most <= CELL_MAX + (256 << 10), "{name} held {most} bytes");
    }
    const { assert!(RECORD_MAX >= CELL_MAX) };
}

#[test]
fn json_lines_dirt_is_read_or_rejected_with_file_line_and_reason() {
    let tables: &[(&str, &[&str])] = &[
        (
            "{\"a\":1}\n\n  \r\n{\"a\":[{\"b\":null}]}",
            &[r#"{"a":1}"#, r#"{"a":[{"b":null}]}"#],
        ),
        ("{\"a\":1}\r{\"a\":2}\r", &[r#"{"a":1}"#, r#"{"a":2}"#]),
        ("", &[]),
        ("[1]\n", &["line 1 of c.jsonl: the line is JSON, but no object"]),
        (
            "{\"a\":1}\n{\"a\":\n",
            &[r#"{"a":1}"#, "line 2 of c.jsonl: EOF while parsing a value, at byte 5"],
        ),
        ("{\"a\":1} x\n", &["line 1 of c.jsonl: trailing characters, at byte 9"]),
        (
            "{\"a\":{\"b\":1,\"b\":2}}\n",
            &["line 1 of c.jsonl: the name \"b\" is there twice, at byte 18"],
        ),
        (
            "{\"a\":\"x\\u0000\"}\n",
            &["line 1 of c.jsonl: a holds a NUL character, at byte 15"],
        ),
        (
            "{\"a\":[\"x\\u0000\"]}\n",
            &["line 1 of c.jsonl: a text holds a NUL character, at byte 16"],
        ),
        ("{\"a\":\"\0\"}\n{}\n", &["line 1 of c.jsonl: a NUL byte", "{}"]),
    ];
    for (text, wanted) in tables {
        check("c.jsonl", text.as_bytes(), wanted);
    }
}

#[test]
fn numbers_are_exact_or_kept_as_they_were_written() {
    for (number, wanted) in [
        ("-7", json!(-7)),
        ("18446744073709551615", json!(u64::MAX)),
        ("0.1", json!(0.1)),
        ("1.50", json!(1.5)),
        ("1e5", json!(100_000.0)),
        ("0.30000000000000004", json!(0.1 + 0.2)),
        ("100000000000000000.0", json!(1e17)),
        ("18446744073709551616", json!("18446744073709551616")),
        ("12345678901234567.89", json!("12345678901234567.89")),
        ("1e-999", json!("1e-999")),
        ("1e999", json!("1e999")),
        ("-0.10000000000000000000001", json!("-0.10000000000000000000001")),
    ] {
        let line = format!("{{\"1e999\":\"\\\"1e999\",\"a\":[{number},{number}]}}");
        let record = json!({"1e999": "\"1e999", "a": [wanted, wanted]});
        check("c.jsonl", line.as_bytes(), &[&record.to_string()]);
    }
    for number in [
        "1234567890123456789.",
        "00000000000000001",
        "1e",
        "1-2-3-4-5-6-7-8-9-10",
    ] {
        let got = shown(read("c.jsonl", format!("{{\"a\":{number}}}").as_bytes(), 9));
        assert!(got[0].starts_with("line 1 of c.jsonl: "), "{number}: {got:?}");
    }
}

#[test]
fn a_json_file_that_is_one_document_is_unusable() {
    for text in ["[\n{\"a\":1}\n]", "{\n\"a\": 1\n}"] {
        let got = shown(read("c.json", text.as_bytes(), 5));
        assert!(
            got[0].starts_with("UNUSABLE one JSON object a line is expected"),
            "{got:?}"
        );
    }
    check(
        "c.json",
        b"{\"a\":1}\nx\n",
        &[r#"{"a":1}"#, "line 2 of c.json: expected value, at byte 1"],
    );
}

proptest! {
    #[test]
    fn chunk_boundaries_never_change_what_a_csv_gives(
        text in "(id,name|a;b|x)\n([ab\",;\\r\\n\u{e3}\u{0}]{0,12}\n?){0,8}",
        step in 1usize..40,
    ) {
        prop_assert_eq!(read("c.csv", text.as_bytes(), step), read("c.csv", text.as_bytes(), 1 << 20));
    }

    #[test]
    fn chunk_boundaries_never_change_what_json_lines_give(
        text in "(\\{\"a\":[0-9.e\"x\\[\\]]{0,9}\\}?[\\r\\n]{1,2}){0,8}",
        step in 1usize..40,
    ) {
        prop_assert_eq!(read("c.jsonl", text.as_bytes(), step), read("c.jsonl", text.as_bytes(), 1 << 20));
    }

    #[test]
    fn what_a_csv_writer_writes_is_read_back(
        rows in prop::collection::vec(prop::array::uniform3("[ab\",;\t|\\r\\n\u{e3}\u{1F600} ]{0,6}"), 1..20),
        delimiter in prop::sample::select(vec![b',', b';', b'\t', b'|']),
        crlf in any::<bool>(),
        step in 1usize..50,
    ) {
        let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().delimiter(delimiter).terminator(terminator).from_writer(Vec::new());
        writer.write_record(["one", "two", "three"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let wanted: Vec<Item> = rows
            .iter()
            .map(|[one, two, three]| {
                let record = json!({"one": one, "two": two, "three": three});
                Item::Record(record.as_object().unwrap().clone())
            })
            .collect();
        prop_assert_eq!(read("c.csv", &bytes, step).unwrap(), wanted);
    }

    #[test]
    fn every_f64_and_i64_of_json_lines_is_read_back(float in any::<f64>(), whole in any::<i64>()) {
        prop_assume!(float.is_finite());
        let line = json!({"float": float, "whole": whole});
        let got = read("c.jsonl", line.to_string().as_bytes(), 100).unwrap();
        prop_assert_eq!(got, vec![Item::Record(line.as_object().unwrap().clone())]);
    }
}

async fn folder(files: &[(&str, &str)]) -> FilesSource {
    let store = InMemory::new();
    for (name, text) in files {
        store.put(&Path::from(*name), (*text).to_owned().into()).await.unwrap();
    }
    FilesSource::new(Arc::new(store), Path::from("exports"))
}

#[tokio::test]
async fn the_objects_are_the_stems_of_the_export_files_and_nothing_else() {
    let source = folder(&[
        ("exports/Contact.CSV", "id;name\n1;x\n"),
        ("exports/deal.ndjson", "{\"b\":1}\nbad\n{\"a\":1}\n"),
        ("exports/.hidden.csv", "x\n"),
        ("exports/.csv", "x\n"),
        ("exports/company.csv.part", "x\n"),
        ("exports/company.csv.partial", "x\n"),
        ("exports/notes.xlsx", "x\n"),
        ("exports/old/company.csv", "x\n"),
        ("other.csv", "x\n"),
    ])
    .await;
    let object = |name: &str, fields: [&str; 2], place: &str, bytes| SourceObject {
        name: name.into(),
        fields: fields.map(str::to_owned).to_vec(),
        place: place.into(),
        bytes: Some(bytes),
        live: false,
        ways: std::collections::BTreeSet::new(),
    };
    assert_eq!(
        source.objects().await.unwrap(),
        [
            object("Contact", ["id", "name"], "exports/Contact.CSV", 12),
            object("deal", ["b", "a"], "exports/deal.ndjson", 20),
        ]
    );
    let items: Vec<Item> = source.read("Contact").await.unwrap().try_collect().await.unwrap();
    assert_eq!(shown(Ok(items)), [r#"{"id":"1","name":"x"}"#]);
    let missing = source.read("contact").await.err().unwrap();
    assert_eq!(missing.to_string(), "exports/contact.csv (or .jsonl) is not there");
}

#[tokio::test]
async fn an_absent_folder_has_no_objects() {
    assert_eq!(folder(&[]).await.objects().await.unwrap(), []);
    let scratch = tempfile::tempdir().unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(scratch.path()).unwrap();
    let source = FilesSource::new(Arc::new(store), Path::from("exports"));
    assert_eq!(source.objects().await.unwrap(), []);
}

#[tokio::test]
async fn two_files_of_one_stem_are_refused_naming_both() {
    let source = folder(&[("exports/a.csv", "x\n"), ("exports/a.jsonl", "")]).await;
    let wanted = "exports/a.csv: exports/a.jsonl gives the same object \"a\", keep one of them";
    assert_eq!(source.objects().await.unwrap_err().to_string(), wanted);
    assert_eq!(source.read("a").await.err().unwrap().to_string(), wanted);
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_read_is_an_error() {
    let source = folder(&[("exports/a.csv", "id\n1\n")]).await;
    let items = source.read("a").await.unwrap();
    let path = Path::from("exports/a.csv");
    source.store.put(&path, "id\n2\n".into()).await.unwrap();
    let refused = items.try_collect::<Vec<_>>().await.unwrap_err();
    let SourceError::Io { place, source } = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (place.as_str(), source.to_string().as_str()),
        (path.as_ref(), "the file was replaced while it was read")
    );
}

#[tokio::test]
async fn a_file_of_many_blocks_is_read_whole() {
    let text: String = (0..100_000).fold(String::new(), |text, id| text + &format!("{id};Jos\u{e9}\n"));
    let source = folder(&[("exports/a.csv", &format!("id;name\n{text}"))]).await;
    let items: Vec<Item> = source.read("a").await.unwrap().try_collect().await.unwrap();
    assert_eq!(items.len(), 100_000);
    let last = json!({"id": "99999", "name": "José"});
    assert_eq!(items.last(), Some(&Item::Record(last.as_object().unwrap().clone())));
}

#[tokio::test]
async fn a_local_folder_with_any_name_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir(scratch.path().join("exports")).unwrap();
    for name in ["São Paulo.csv", "100%.csv", "a#b.csv"] {
        std::fs::write(scratch.path().join("exports").join(name), "id\n1\n").unwrap();
    }
    let store = object_store::local::LocalFileSystem::new_with_prefix(scratch.path()).unwrap();
    let source = FilesSource::new(Arc::new(store), Path::from("exports"));
    let names: Vec<String> = source
        .objects()
        .await
        .unwrap()
        .into_iter()
        .map(|object| object.name)
        .collect();
    assert_eq!(names, ["100%", "São Paulo", "a#b"]);
    for name in names {
        let items: Vec<Item> = source.read(&name).await.unwrap().try_collect().await.unwrap();
        assert_eq!(items.len(), 1);
    }
}
