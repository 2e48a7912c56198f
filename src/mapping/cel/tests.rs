mod standard;

use serde_json::json;

use super::*;
use crate::{api::mapping_spec, mapping::scope::Each, model::Record};

fn environment() -> Environment {
    let formats = Formats::new(Some(&mapping_spec::Formats {
        time_zone: Some("America/Sao_Paulo".to_owned()),
        dates: Some(vec!["%d/%m/%Y".to_owned()]),
        decimal: Some(mapping_spec::Decimal::Comma),
        list: None,
    }));
    let params = [
        ("stage", json!("crm.won")),
        ("scale", json!(100.0)),
        ("fields", json!({"{{name}}": "N", "{{x}}": ""})),
        ("blank", json!("")),
    ];
    let params = params
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Environment::new(params, formats.unwrap(), Some(BTreeSet::from(["crm".to_owned()])))
}

fn record() -> Record {
    let value = json!({
        "name": "Ana", "blank": " ", "empty": [], "nothing": null, "n": 3, "d": 2.5, "yes": true, "no": false,
        "csv": "1.234,56", "big": u64::MAX, "list": [3, 1, 2], "tags": ["b", "", "a", null, "b"],
        "lines": [{"qty": 2, "sku": "x"}, {"qty": 5}], "map": {"k": "v", "none": null},
        "email": "Ana <ana@www.Acme.com>", "when": "2024-01-15T10:30:00.5", "day": "15/01/2024", "text": "a{{name}}b{{x}}",
        "odd name": 7,
    });
    value.as_object().unwrap().clone()
}

fn evaluate(source: &str) -> Result<Value, String> {
    let environment = environment();
    let (record, lets) = (record(), json!({"let": "computed"}).as_object().unwrap().clone());
    let (item, parent) = (json!({"id": 7}), json!({"id": 8}));
    let each = Some(Each {
        item: &item,
        parent: &parent,
        index: 2,
    });
    let scope = Scope {
        record: &record,
        lets: &lets,
        each,
        line: None,
    };
    let expression = environment.compile(source).map_err(|problem| problem.to_string())?;
    expression.evaluate(&environment, &scope)
}

fn gives(cases: &[(&str, Value)]) {
    for (source, wanted) in cases {
        assert_eq!(evaluate(source).as_ref(), Ok(wanted), "{source}");
    }
}

fn fails(cases: &[(&str, &str)]) {
    for (source, wanted) in cases {
        let error = evaluate(source).unwrap_err();
        assert!(error.contains(wanted), "{source}: {error}");
    }
}

#[test]
fn variables_are_what_the_scope_has() {
    gives(&[
        ("record.name", json!("Ana")),
        ("record.let", json!("computed")),
        ("record[\"odd name\"]", json!(7)),
        ("item.id", json!(7)),
        ("parent.id + index", json!(10)),
        ("params.stage", json!("crm.won")),
        ("params[\"sta\" + \"ge\"]", json!("crm.won")),
        ("record[\"na\" + \"me\"]", json!("Ana")),
        ("size(record) > 10", json!(true)),
        ("record.big", json!("18446744073709551615")),
        ("record.map(k, k).exists(k, k == \"let\")", json!(true)),
    ]);
    let environment = environment();
    let (record, lets) = (record(), Record::new());
    let scope = Scope {
        record: &record,
        lets: &lets,
        each: None,
        line: None,
    };
    let item = environment.compile("item").unwrap();
    assert!(
        item.evaluate(&environment, &scope)
            .unwrap_err()
            .contains("only with `each`")
    );
}

#[test]
fn reading_what_is_missing_or_empty_gives_null() {
    for source in [
        "record.missing",
        "record.missing.deeper[0].x",
        "record.blank",
        "record.empty",
        "record.nothing",
        "record.list[9]",
        "record.list[-1]",
        "record.map.x",
        "record.map.none",
        "record.map[\"x\"]",
        "record.map[null]",
        "record.lines[1].sku",
        "record.tags[1]",
        "params.blank",
        "params.unknown",
        "[1, 2][5]",
        "{\"a\": 1}.b",
        "{\"a\": 1}[\"b\"]",
        "item.x",
        "null",
    ] {
        assert_eq!(evaluate(source), Ok(Value::Null), "{source}");
    }
}

#[test]
fn an_operator_given_null_gives_null() {
    for source in [
        "null + 1",
        "1 + null",
        "\"a\" + record.blank",
        "[1] + record.empty",
        "null - 1",
        "null * 2",
        "null / 2",
        "2.0 / null",
        "null % 2",
        "-record.missing",
        "!record.missing",
        "record.missing && true",
        "true && null",
        "false || null",
        "null || null",
        "null && null",
    ] {
        assert_eq!(evaluate(source), Ok(Value::Null), "{source}");
    }
}

#[test]
fn a_comparison_with_null_is_false_and_equality_sees_it() {
    for operator in ["<", "<=", ">", ">="] {
        for (left, right) in [
            ("null", "1"),
            ("1", "null"),
            ("null", "null"),
            ("record.blank", "\"a\""),
        ] {
            assert_eq!(evaluate(&format!("{left} {operator} {right}")), Ok(json!(false)));
        }
    }
    gives(&[
        ("record.missing == null", json!(true)),
        ("record.blank == null", json!(true)),
        ("record.blank == \"\"", json!(true)),
        ("record.missing != \"\"", json!(false)),
        ("record.empty == []", json!(true)),
        ("record.name == null", json!(false)),
        ("record.name != null", json!(true)),
        ("record.no == null", json!(false)),
        ("0 == null", json!(false)),
        ("null in [1, null]", json!(true)),
        ("null in [1]", json!(false)),
        ("1 in null", json!(false)),
        ("null in null", json!(false)),
        ("\"k\" in record.map", json!(true)),
        ("\"none\" in record.map", json!(false)),
        ("\"b\" in record.tags", json!(true)),
    ]);
}

#[test]
fn a_null_condition_is_false() {
    gives(&[
        ("record.missing ? 1 : 2", json!(2)),
        ("(record.missing && true) ? 1 : 2", json!(2)),
        ("null && false", json!(false)),
        ("true || null", json!(true)),
        ("null || true", json!(true)),
        ("[1, 2].filter(x, null)", json!([])),
        ("[1, 2].exists(x, null)", json!(false)),
        ("[1, 2].all(x, null)", json!(false)),
        ("[1, 2].exists_one(x, null)", json!(false)),
        ("[1, 2].map(x, null, x)", json!([])),
        ("has(record.name)", json!(true)),
        ("has(record.blank)", json!(false)),
        ("has(record.map.k)", json!(true)),
        ("has(record.missing.deeper)", json!(false)),
    ]);
    let environment = environment();
    let (record, lets) = (record(), Record::new());
    let scope = Scope {
        record: &record,
        lets: &lets,
        each: None,
        line: None,
    };
    let condition = |source: &str| environment.compile(source).unwrap().condition(&environment, &scope);
    assert_eq!(condition("record.missing"), Ok(false));
    assert_eq!(condition("record.yes"), Ok(true));
    assert_eq!(condition("record.n > 2"), Ok(true));
    assert!(condition("record.name").unwrap_err().contains("not string"));
}

#[test]
fn iterating_null_is_iterating_nothing() {
    gives(&[
        ("record.missing.map(x, x)", json!([])),
        ("record.empty.filter(x, true)", json!([])),
        ("record.missing.all(x, false)", json!(true)),
        ("record.missing.exists(x, true)", json!(false)),
        ("record.missing.exists_one(x, true)", json!(false)),
        ("record.missing.sortBy(x, x)", json!([])),
        ("size(record.missing)", json!(0)),
        ("record.missing.size()", json!(0)),
    ]);
}

#[test]
fn every_function_but_those_that_see_null_gives_null_for_null() {
    let sees_null = ["first", "compact", "yes", "json", "size", "tree", "domain"];
    for function in functions::names().filter(|name| {
        !sees_null.contains(name) && *name != "has" && tree::LOOPS.iter().all(|(macro_name, _)| macro_name != name)
    }) {
        let (found, method) = functions::find(function, functions::Style::Function)
            .map(|found| (found, false))
            .or_else(|_| functions::find(function, functions::Style::Method).map(|found| (found, true)))
            .unwrap();
        let with_null = |count| (0..count).map(move |null| call(function, count, null, method));
        let calls: Vec<String> = found.takes.clone().flat_map(with_null).collect();
        for source in calls {
            assert_eq!(evaluate(&source), Ok(Value::Null), "{source}");
        }
    }
    gives(&[
        ("first(null)", json!(null)),
        ("compact(null)", json!([])),
        ("yes(null)", json!(false)),
        ("json(null)", json!("null")),
        ("math.greatest(1, null, 3)", json!(null)),
    ]);
}

/// A call with one null among texts.
fn call(function: &str, count: usize, null: usize, method: bool) -> String {
    let mut arguments: Vec<&str> = (0..count)
        .map(|at| if at == null { "record.missing" } else { "\"a\"" })
        .collect();
    let target = if method {
        format!("{}.", arguments.remove(0))
    } else {
        String::new()
    };
    format!("{target}{function}({})", arguments.join(", "))
}

#[test]
fn the_functions_of_the_language_do_what_their_table_says() {
    gives(&[
        ("first([record.missing, record.blank, record.name])", json!("Ana")),
        ("first([record.missing, \"\"])", json!("")),
        ("first([\"\", record.name])", json!("Ana")),
        ("first([null, false])", json!(false)),
        ("first([])", json!(null)),
        (
            "compact([record.missing, \"a\", \" \", \"b\"]).join(\" \")",
            json!("a b"),
        ),
        ("key([record.name, record.n, 12.0, true])", json!("Ana__3__12__true")),
        ("key([\"a b\", \"ç\"])", json!("a_20b___C3_A7")),
        ("key([record.name, record.missing])", json!(null)),
        ("key([])", json!(null)),
        ("number(record.csv)", json!(1234.56)),
        ("number(record.n)", json!(3.0)),
        ("number(\"\")", json!(null)),
        ("number(record.csv) / params.scale", json!(12.3456)),
        ("date(record.day)", json!("2024-01-15")),
        ("date(record.when)", json!("2024-01-15")),
        ("datetime(record.day)", json!("2024-01-15T03:00:00Z")),
        ("datetime(record.when)", json!("2024-01-15T13:30:00.5Z")),
        ("datetime(datetime(record.when)) == datetime(record.when)", json!(true)),
        ("date(\"2024-01-15T01:00:00Z\")", json!("2024-01-14")),
        ("yes(\"sim\")", json!(true)),
        ("yes(record.no)", json!(false)),
        ("yes(record.blank)", json!(false)),
        ("lower(\"  ÀÉÎ Да \")", json!("àéî да")),
        ("host(record.email)", json!("acme.com")),
        ("host(\"@\")", json!(null)),
        (
            "html(\"a <b> & \\\"c\\\"\\nd\\r\\n\\r\\ne\")",
            json!("<p>a &lt;b&gt; &amp; &#34;c&#34;<br/>d</p><p>e</p>"),
        ),
        (
            "json({\"b\": [1, 2.5], \"a\": null})",
            json!("{\"a\":null,\"b\":[1,2.5]}"),
        ),
        ("json(record.map)", json!("{\"k\":\"v\",\"none\":null}")),
        ("replaceAll(record.text, params.fields)", json!("aNb")),
        (
            "replaceAll(\"aab\", {\"a\": \"b\", \"aa\": \"c\", \"\": \"z\"})",
            json!("cb"),
        ),
        ("installed(\"crm\") && !installed(\"sale\")", json!(true)),
    ]);
    fails(&[
        ("number(record.name)", "number: the value is not a number"),
        ("date(record.name)", "date: the value is no date"),
        ("yes(record.name)", "neither yes nor no"),
        ("first(record.name)", "takes list"),
        ("key([record.list])", "a part of a key"),
        ("lower(record.n)", "takes string, not int"),
        ("replaceAll(\"a\", {\"a\": [1]})", "text to text"),
        ("[\"a\", null].join(\",\")", "compact"),
    ]);
}

#[test]
fn a_module_cannot_be_asked_for_before_an_odoo_was_seen() {
    let environment = Environment::new(BTreeMap::new(), Formats::new(None).unwrap(), None);
    let expression = environment.compile("installed(\"crm\")").unwrap();
    assert!(expression.uses_installed());
    let empty = Record::new();
    let scope = Scope {
        record: &empty,
        lets: &empty,
        each: None,
        line: None,
    };
    assert!(expression.condition(&environment, &scope).is_err());
}

#[test]
fn an_error_says_what_is_wrong_and_no_value_of_the_record() {
    fails(&[
        ("record.name + 1", "string and int"),
        ("record.n + record.d", "int and double do not mix"),
        ("record.n / 0", "division by zero"),
        ("9223372036854775807 + 1", "64 bits"),
        ("-9223372036854775808 / -1", "64 bits"),
        ("record.name < 1", "no order"),
        ("record.name.x", "not string"),
        ("record.list.x", "not list"),
        ("record.list[\"a\"]", "not taken of list"),
        ("record.name && true", "yes(…)"),
        ("!record.name", "not string"),
        ("record.name ? 1 : 2", "a condition"),
        ("record.n.map(x, x)", "a loop goes over"),
        ("{1.5: 2}", "key of a map"),
        ("{\"a\": 1, \"a\": 2}", "twice"),
        ("[1, \"a\"].sort()", "one type"),
        ("[1, null].sort()", "one type"),
        ("1.0 / 0.0", "finite"),
        ("int(1e300)", "64 bits"),
        ("\"%d\".format([\"x\"])", "%d does not take string"),
        ("\"%s\".format([])", "fewer values"),
        ("\"a\".substring(2)", "outside the text"),
        ("\"abc\".matches(record.name + \"(\")", "regular expression"),
    ]);
    for source in [
        "record.name + 1",
        "record.name ? 1 : 2",
        "number(record.name)",
        "record.name.x",
        "int(record.name)",
    ] {
        assert!(!evaluate(source).unwrap_err().contains("Ana"), "{source}");
    }
}

#[test]
fn an_error_beside_what_decides_does_not_matter() {
    gives(&[
        ("false && record.name + 1 == 2", json!(false)),
        ("record.name + 1 == 2 && false", json!(false)),
        ("record.name + 1 == 2 || true", json!(true)),
        ("[1, \"a\"].exists(x, x + 1 == 2)", json!(true)),
    ]);
    assert!(evaluate("record.name + 1 == 2 && true").is_err());
}

#[test]
fn what_does_not_compile_is_explained() {
    let environment = environment();
    for (source, code, wanted) in [
        ("", "CelSyntax", "unexpected the end at character 1"),
        ("record.", "CelSyntax", "the end"),
        ("(1", "CelSyntax", "expected \")\""),
        ("1 = 2", "CelSyntax", "equality is =="),
        ("record.a | record.b", "CelSyntax", "first([a, b])"),
        ("\"open", "CelSyntax", "not closed at character 1"),
        ("'a\nb'", "CelSyntax", "not closed"),
        ("\"\\q\"", "CelSyntax", "unknown escape"),
        ("\"\\ud800\"", "CelSyntax", "names no character"),
        ("1u", "CelSyntax", "no uint"),
        ("b'x'", "CelSyntax", "no bytes"),
        ("9223372036854775808", "CelSyntax", "too large"),
        ("1e999", "CelSyntax", "too large"),
        ("é", "CelSyntax", "'é' at character 1"),
        ("x.map(1, 2)", "CelName", "no variable x"),
        ("[1].map(1, 2)", "CelSyntax", "a number"),
        ("[1].filter(x, true, 2)", "CelSyntax", "filter takes"),
        ("has(1)", "CelSyntax", "has takes a selection"),
        ("lower()", "CelSyntax", "number of arguments"),
        ("for", "CelSyntax", "\"for\""),
        ("rekord.name", "CelName", "the nearest is record"),
        ("lwer(record.name)", "CelName", "the nearest is lower"),
        ("math.celi(1.0)", "CelName", "math.ceil"),
        ("record.name.lower()", "CelName", "write lower(x)"),
        ("trim(record.name)", "CelName", "write x.trim(…)"),
        ("timestamp(\"2024\")", "CelName", "no function timestamp"),
        ("\"a\".matches(\"(\")", "CelSyntax", "regular expression"),
        ("\"a\".matches(\"(a{1000}){1000}\")", "CelSyntax", "too large"),
    ] {
        let problem = environment.compile(source).unwrap_err();
        assert_eq!(problem.code, code, "{source}: {problem}");
        assert!(problem.message.contains(wanted), "{source}: {problem}");
    }
}

#[test]
fn an_expression_tells_the_names_it_uses() {
    let source = "record.a.b + record[\"c d\"] + params.p + [record.e].map(record, record.f)[0] + string(index)";
    let expression = environment().compile(source).unwrap();
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(expression.record_fields(), set(&["a", "c d", "e"]));
    assert_eq!(expression.params(), set(&["p"]));
    assert_eq!(expression.variables(), set(&["index", "params", "record"]));
    assert!(!expression.uses_installed());
    assert_eq!(expression.source(), source);
}

#[test]
fn what_is_too_long_deep_or_heavy_is_an_error_and_not_the_end() {
    let environment = environment();
    let deep = [
        format!("{}1{}", "(".repeat(1000), ")".repeat(1000)),
        "(".repeat(4000),
        "[".repeat(4000),
        "{1:".repeat(1300),
        "lower(".repeat(600),
        "-!".repeat(2000),
        format!("{}true", "!".repeat(4000)),
        format!("{}record.n", "-".repeat(4000)),
        format!("record{}", ".a".repeat(2000)),
        format!("record{}", "[0]".repeat(1300)),
        format!("1{}", "+1".repeat(2000)),
        format!("1{}", "<1".repeat(2000)),
        format!("{}1", "true?1:".repeat(500)),
        format!("[1]{}", ".map(x,x)".repeat(400)),
        "\"".repeat(4000),
        "a".repeat(4097),
    ];
    for source in &deep {
        assert!(environment.compile(source).is_err(), "{}", &source[..20]);
    }
    assert_eq!(evaluate(&format!("true{}", " && true".repeat(400))), Ok(json!(true)));
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    for source in [
        format!("[\"aaaaaaaaaaaaaaaa\"]{}", ".map(x,x+x)".repeat(50)),
        format!("[[1]]{}", ".map(x,x+x)".repeat(50)),
        format!("[1]{}", ".map(x,[x,x])".repeat(50)),
        format!("{ten}.map(a,{ten}.map(b,{ten}.map(c,{ten}.map(d,{ten}.map(e,{ten}.map(f,{ten}))))))"),
        "lists.range(1000000000)".to_owned(),
        format!(
            "\"{0}\".replace(\"a\",\"{0}\").replace(\"a\",\"{0}\").replace(\"a\",\"{0}\")",
            "a".repeat(900)
        ),
    ] {
        let error = evaluate(&source).unwrap_err();
        assert!(error.contains("too much work"), "{error}");
    }
    let evil = format!("\"{}!\".matches(\"^(a+)+$\")", "a".repeat(3000));
    assert_eq!(evaluate(&evil), Ok(json!(false)));
}

#[test]
fn rule_trees_are_read_told_and_said_and_a_wrong_shape_or_object_shows_on_an_empty_record() {
    let rules = r#"{"rules": [{"field": "city", "comparator": "is", "value": 1}]}"#;
    gives(&[
        (
            &format!(r#"tree({rules}, {{"children": "rules"}})"#),
            json!({"op": "AND", "of": [{"field": "city", "is": "is", "value": 1}]}),
        ),
        (
            &format!(r#"outline(tree({rules}, {{"children": "rules"}}))"#),
            json!("all of\n  city is 1"),
        ),
        (r#"tree(record.nothing, {"children": "rules"})"#, json!(null)),
        ("outline(record.nothing)", json!(null)),
    ]);
    for (source, part) in [
        (
            r#"tree(record.nothing, {"child": "rules"})"#,
            "the shape names another key than children, operator",
        ),
        (
            r#"domain(record.nothing, "contactz")"#,
            "there is no object of this name",
        ),
        (
            r#"tree(record.nothing, {"children": "a..b"})"#,
            "children of the shape is no path",
        ),
    ] {
        let error = evaluate(source).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn placeholders_become_what_templates_of_odoo_need() {
    for (html, wanted) in [
        ("<p>Hi {{ object.name }}</p>", r#"<p>Hi <t t-out="object.name"/></p>"#),
        (
            "{{a or \"x\" < 1 & 2}}",
            r#"<t t-out="a or &quot;x&quot; &lt; 1 &amp; 2"/>"#,
        ),
        (
            r#"<a class="b" href="https://x/?q={{ object.id }}&a" title='{{t}}'>{{ t }}</a>"#,
            r#"<a class="b" t-attf-href="https://x/?q={{ object.id }}&a" t-attf-title='{{t}}'><t t-out="t"/></a>"#,
        ),
        (
            r#"<a t-att-href="{{ x }}" alt="a > b">"#,
            r#"<a t-att-href="{{ x }}" alt="a > b">"#,
        ),
        (
            "<!-- {{ x }} --> 1 < 2 {{ }} {{ open {x}",
            "<!-- {{ x }} --> 1 < 2 {{ }} {{ open {x}",
        ),
        ("<p", "<p"),
        ("plain ção", "plain ção"),
    ] {
        assert_eq!(evaluate(&format!("qweb({})", json!(html))), Ok(json!(wanted)), "{html}");
    }
    gives(&[("qweb(record.nothing)", json!(null))]);
}
