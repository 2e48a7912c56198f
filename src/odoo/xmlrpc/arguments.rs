//! Our named arguments as `execute_kw` takes them: a list and names. Pure.
//!
//! Named ones would do, were it not that records always come first in the list, that `create` looks at the list's first
//! for the shape of its answer, and that names have changed between versions (`search(args)`, `default_get(fields_list)`).

use serde_json::{Map, Value, json};

use crate::odoo::rpc::Args;

/// A call of `execute_kw`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// What goes in the list, with the name it has with us.
    pub list: Vec<(&'a str, Value)>,
    /// What goes by name.
    pub named: Map<String, Value>,
}

impl Call<'_> {
    /// A place among the arguments for people: a cell of `load` goes by the name of its column.
    pub fn place(&self, place: &str) -> String {
        let cell = || {
            let (row, column) = place.strip_prefix("data")?.strip_suffix(']')?.rsplit_once('[')?;
            let (_, fields) = self.list.iter().find(|(name, _)| *name == "fields")?;
            let name = fields.get(column.parse::<usize>().ok()?)?.as_str()?;
            Some(format!("data{row}.{name}"))
        };
        cell().unwrap_or_else(|| place.to_owned())
    }
}

/// First arguments of the methods that we call, in Odoo's order.
const FIRST: [(&str, &[&str]); 15] = [
    ("create", &["vals_list"]),
    ("write", &["ids", "vals"]),
    ("unlink", &["ids"]),
    ("exists", &["ids"]),
    ("read", &["ids", "fields"]),
    ("search", &["domain"]),
    ("search_read", &["domain", "fields"]),
    ("search_count", &["domain"]),
    ("name_search", &["name", "domain"]),
    ("load", &["fields", "data"]),
    ("fields_get", &["allfields", "attributes"]),
    ("default_get", &["fields"]),
    ("check_access_rights", &["operation"]),
    ("web_save_multi", &["ids", "vals_list", "specification"]),
    ("context_get", &[]),
];

/// Puts the arguments of a call in order. A method that is not known takes `ids` first, if there are any, and all else by
/// name.
pub(super) fn call(method: &str, mut args: Args) -> Call<'_> {
    let method = if method == "has_access" {
        // Odoo 18 has the one, every version up to 19 the other, and they answer the same about a whole model
        args.remove("ids");
        args.insert("raise_exception".to_owned(), json!(false));
        "check_access_rights"
    } else {
        method
    };
    let known = FIRST.iter().find(|(name, _)| *name == method);
    let first = known.map_or(&["ids"][..], |(_, first)| first);
    let mut list = Vec::new();
    for name in first {
        match args.remove(*name) {
            Some(value) => list.push((*name, value)),
            // a method of records is always given some: JSON-2 means none where none are named
            None if *name == "ids" && known.is_some() => list.push((*name, json!([]))),
            None => break,
        }
    }
    Call {
        method,
        list,
        named: in_english(args),
    }
}

/// Odoo's sentences come in English, because some tell by their words alone what they mean. Where no language is given,
/// it reads and writes texts as English all the same.
fn in_english(mut named: Map<String, Value>) -> Map<String, Value> {
    let context = named.entry("context").or_insert_with(|| json!({}));
    if let Some(context) = context.as_object_mut() {
        context.entry("lang").or_insert_with(|| json!("en_US"));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn every_method_that_we_call_gets_its_arguments_where_odoo_looks_for_them() {
        let english = json!({"lang": "en_US"});
        for (method, given, list, named) in [
            (
                "create",
                args!({"vals_list": [{"name": "a"}], "context": {"tracking_disable": true}}),
                json!([[{"name": "a"}]]),
                json!({"context": {"tracking_disable": true, "lang": "en_US"}}),
            ),
            (
                "write",
                args!({"ids": [1], "vals": {"name": "a"}}),
                json!([[1], {"name": "a"}]),
                json!({"context": english}),
            ),
            (
                "write",
                args!({"vals": {"name": "a"}}),
                json!([[], {"name": "a"}]),
                json!({"context": english}),
            ),
            (
                "unlink",
                args!({"ids": [1, 2]}),
                json!([[1, 2]]),
                json!({"context": english}),
            ),
            ("exists", args!({"ids": [1]}), json!([[1]]), json!({"context": english})),
            (
                "read",
                args!({"ids": [1], "fields": ["name"], "load": null}),
                json!([[1], ["name"]]),
                json!({"load": null, "context": english}),
            ),
            (
                "search",
                args!({"domain": [["id", ">", 3]], "order": "id", "limit": 2, "context": {"active_test": false}}),
                json!([[["id", ">", 3]]]),
                json!({"order": "id", "limit": 2, "context": {"active_test": false, "lang": "en_US"}}),
            ),
            (
                "search_read",
                args!({"domain": [], "fields": ["name"], "limit": 1, "load": null, "context": {"lang": "pt_BR"}}),
                json!([[], ["name"]]),
                json!({"limit": 1, "load": null, "context": {"lang": "pt_BR"}}),
            ),
            (
                "search_read",
                args!({"fields": ["name"]}),
                json!([]),
                json!({"fields": ["name"], "context": english}),
            ),
            (
                "search_count",
                args!({"domain": []}),
                json!([[]]),
                json!({"context": english}),
            ),
            (
                "load",
                args!({"fields": ["id"], "data": [["a"]], "context": {"module": "m"}}),
                json!([["id"], [["a"]]]),
                json!({"context": {"module": "m", "lang": "en_US"}}),
            ),
            (
                "fields_get",
                args!({"attributes": ["type"]}),
                json!([]),
                json!({"attributes": ["type"], "context": english}),
            ),
            (
                "fields_get",
                args!({"allfields": ["a"], "attributes": ["type"]}),
                json!([["a"], ["type"]]),
                json!({"context": english}),
            ),
            (
                "default_get",
                args!({"fields": ["a"]}),
                json!([["a"]]),
                json!({"context": english}),
            ),
            (
                "has_access",
                args!({"ids": [], "operation": "create"}),
                json!(["create"]),
                json!({"raise_exception": false, "context": english}),
            ),
            (
                "web_save_multi",
                args!({"ids": [1, 2], "vals_list": [{}, {}], "specification": {}}),
                json!([[1, 2], [{}, {}], {}]),
                json!({"context": english}),
            ),
            ("context_get", args!({}), json!([]), json!({"context": english})),
            (
                "action_archive",
                args!({"ids": [1], "context": {"a": 1}}),
                json!([[1]]),
                json!({"context": {"a": 1, "lang": "en_US"}}),
            ),
            (
                "of_a_model",
                args!({"b": 1}),
                json!([]),
                json!({"b": 1, "context": english}),
            ),
        ] {
            let call = call(method, given);
            let values: Vec<Value> = call.list.into_iter().map(|(_, value)| value).collect();
            assert_eq!(json!(values), list, "{method}");
            assert_eq!(Value::Object(call.named), named, "{method}");
        }
        assert_eq!(
            call("has_access", args!({"operation": "read"})).method,
            "check_access_rights"
        );
    }
}
