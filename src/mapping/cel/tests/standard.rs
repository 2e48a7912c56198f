//! Agreement with the crate `cel`, and what holds for any expression.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    super::{functions, tree},
    environment, evaluate,
};

/// Standard CEL and its extensions, where no null and nothing empty is involved.
const STANDARD: [&str; 118] = [
    "1 + 2 * 3 - 4",
    "7 / 2",
    "-7 / 2",
    "-7 % 3",
    "7.0 / 2.0",
    "-(3)",
    "- -3",
    "!true",
    "!!true",
    "1 == 1.0",
    "1 != 2",
    "1 < 2",
    "1.5 >= 1.5",
    "\"a\" < \"b\"",
    "true > false",
    "\"a\" + 'b'",
    "[1] + [2]",
    "1 in [1, 2]",
    "3 in [1, 2]",
    "'a' in {'a': 1}",
    "true ? 1 : 2",
    "false ? 1 : true ? 2 : 3",
    "true || false && false",
    "1 < 2 == true",
    "{'a': {'b': [1, 2]}}.a.b[1]",
    "{1: 'x'}[1]",
    "{true: 'x'}[true]",
    "0x1F",
    "-0x1F",
    "1e3",
    "1.5E-2",
    ".5",
    "\"\\n\\t\\\\\\\"\\x41\\u00e9\\U0001F389\\101\"",
    "r'a\\nb'",
    "'''a'b'''",
    "\"\"\"a\"b\"\"\"",
    "'a' // comment",
    "-9223372036854775808",
    "[1, 2, 3].all(x, x > 0)",
    "[1, 2, 3].exists(x, x > 2)",
    "[1, 2, 3].exists_one(x, x > 2)",
    "[1, 2, 3].map(x, x * 2)",
    "[1, 2, 3].map(x, x > 1, x * 2)",
    "[1, 2, 3].filter(x, x > 1)",
    "[[1, 2], [3]].map(x, x.map(y, y + size(x)))",
    "{'a': 1}.map(k, k)",
    "has({'a': 1}.a)",
    "has({'a': 1}.b)",
    "size('áé')",
    "size([1])",
    "'abc'.size()",
    "size({'a': 1})",
    "string(1)",
    "string(1.5)",
    "string(true)",
    "string('a')",
    "int('12')",
    "int(1.9)",
    "int(-1.9)",
    "double('1.5')",
    "double(3)",
    "'abc'.contains('b')",
    "'abc'.startsWith('a')",
    "'abc'.endsWith('c')",
    "'abc'.matches('^a.c$')",
    "matches('abc', 'b')",
    "type(1) == int",
    "type('a') == string",
    "type([1]) == list",
    "type(1.0) == type(1)",
    "'áé'.charAt(1)",
    "'abc'.charAt(3) == ''",
    "'tacocat'.indexOf('ac')",
    "'tacocat'.indexOf('a', 3)",
    "'tacocat'.indexOf('z')",
    "'tacocat'.lastIndexOf('a')",
    "'tacocat'.lastIndexOf('a', 4)",
    "'éaéa'.lastIndexOf('é', 2)",
    "['a', 'b'].join()",
    "['a', 'b'].join('-')",
    "'ÀBc'.lowerAscii()",
    "'àbC'.upperAscii()",
    "'hello'.replace('l', 'x')",
    "'hello'.replace('l', 'x', 1)",
    "'hello'.replace('l', 'x', -1)",
    "'abc'.replace('', '-')",
    "'a,b,c'.split(',')",
    "'a,b,c'.split(',', 2)",
    "'áb'.split('')",
    "'abc'.split('', 2)",
    "'tacocat'.substring(4)",
    "'tacocat'.substring(1, 3)",
    "'  a '.trim()",
    "'abc'.reverse()",
    "strings.quote('a\"b\\n')",
    "'%s is %d %.2f %e %x %X %o %b %%'.format(['a', 5, 1.5, 1234.5, 255, 255, 8, 5])",
    "[1, 2, 3, 4].slice(1, 3)",
    "[[1], [2, [3]]].flatten()",
    "[[1], [2, [3]]].flatten(2)",
    "[1, 2, 1, 1.0].distinct()",
    "[1, 2].reverse()",
    "[3, 1, 2].sort()",
    "['b', 'a'].sort()",
    "[{'n': 2}, {'n': 1}].sortBy(e, e.n)[0].n",
    "lists.range(3)",
    "math.greatest(1, 3, 2)",
    "math.least([1.5, 0.5])",
    "math.greatest(5)",
    "math.ceil(1.2)",
    "math.floor(-1.2)",
    "math.round(2.5)",
    "math.trunc(-1.9)",
    "math.abs(-3)",
    "math.sign(-2.5)",
    "math.sqrt(16)",
    "math.isNaN(0.0 / 0.0)",
    "math.bitShiftLeft(1, 4) + math.bitAnd(6, 3) + math.bitOr(4, 1) + math.bitXor(7, 2)",
    "math.bitShiftRight(-1, 60) + math.bitNot(5)",
];

#[test]
fn standard_expressions_give_what_the_reference_crate_gives() {
    use ::cel::{Context, Env, extensions};
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists, extensions::math] {
        env.add_extension(extension).unwrap();
    }
    let env = Arc::new(env);
    for source in STANDARD {
        let program = env.compile(source).unwrap();
        let value = program.execute(&Context::with_env(Arc::clone(&env))).unwrap();
        assert_eq!(evaluate(source), Ok(value.json().unwrap()), "{source}");
    }
}

fn source() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null"),
        Just("true"),
        Just("0"),
        Just("-1"),
        Just("2.5"),
        Just("\"\""),
        Just("\"é,b\""),
        Just("[]"),
        Just("record"),
        Just("record.name"),
        Just("record.missing"),
        Just("record.list"),
        Just("record.tags"),
        Just("record.lines"),
        Just("record.map"),
        Just("record.big"),
        Just("params.fields"),
        Just("item"),
        Just("index"),
        Just("9223372036854775807"),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = "+ - * / % == != < <= > >= in && ||".split(' ').collect::<Vec<_>>();
        let names: Vec<&str> = functions::names().filter(|name| *name != "has").collect();
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), prop::sample::select(operators), inner.clone())
                .prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            three.clone().prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            three.clone().prop_map(|(a, b, c)| format!("[{a}, {b}, {c}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{\"k\": {a}, \"l\": {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("tree(record, {{{a}: {b}}})")),
            inner
                .clone()
                .prop_map(|a| format!("tree(record, {{\"children\": {a}}})")),
            inner.clone().prop_map(|a| format!("domain(null, {a})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("({a}).k")),
            (three, prop::sample::select(names), 0..3_usize, any::<bool>()).prop_map(
                |((a, b, c), name, count, method)| {
                    let is_macro = tree::LOOPS.iter().any(|(macro_name, _)| *macro_name == name);
                    let arguments = [b, c][..count.min(2)].join(", ");
                    match (is_macro, method) {
                        (true, _) => format!("({a}).{name}(record, {arguments})"),
                        (false, true) => format!("({a}).{name}({arguments})"),
                        (false, false) if arguments.is_empty() => format!("{name}({a})"),
                        (false, false) => format!("{name}({a}, {arguments})"),
                    }
                }
            ),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn evaluation_never_panics_and_errors_hold_no_value(source in source()) {
        if let Err(error) = evaluate(&source) {
            prop_assert!(!error.contains("Ana") && !error.contains("Acme"), "{error}");
        }
    }

    #[test]
    fn any_text_compiles_or_is_explained(source in "\\PC{0,40}", marks in "[a-z0-9.(){}\\[\\]\"'\\\\?:!&|<>=+*/% -]{0,40}") {
        for source in [source, marks] {
            if let Err(problem) = environment().compile(&source) {
                prop_assert!(!problem.message.is_empty());
            }
        }
    }
}
