//! What the comparators of rule trees mean, in the words of the platforms.

/// What a comparator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Equal,
    Contains,
    Begins,
    Ends,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Between,
    Empty,
    Yes,
}

/// Words without case, spaces and signs, with their meaning and whether it is denied.
const WORDS: [(Is, bool, &str); 18] = [
    (
        Is::Equal,
        false,
        "= == equal equals eq is isequalto igual iguala in isin oneof isoneof anyof isanyof",
    ),
    (
        Is::Equal,
        true,
        "!= <> notequal notequals ne neq isnot isnotequalto diferente diferentede notin isnotin nin noneof isnoneof",
    ),
    (
        Is::Contains,
        false,
        "contains contain like ilike includes has contém contem",
    ),
    (
        Is::Contains,
        true,
        "notcontains notcontain doesnotcontain notlike notincludes hasnot nãocontém",
    ),
    (
        Is::Begins,
        false,
        "startswith startwith starts beginswith begins começacom",
    ),
    (Is::Begins, true, "notstartswith doesnotstartwith notbeginswith"),
    (Is::Ends, false, "endswith endwith ends terminacom"),
    (Is::Ends, true, "notendswith doesnotendwith"),
    (
        Is::Greater,
        false,
        "> gt greater greaterthan more morethan after above maior maiorque",
    ),
    (
        Is::GreaterOrEqual,
        false,
        ">= gte ge greaterorequal greaterthanorequal greaterthanorequalto atleast onorafter",
    ),
    (
        Is::Less,
        false,
        "< lt less lessthan fewerthan before below menor menorque",
    ),
    (
        Is::LessOrEqual,
        false,
        "<= lte le lessorequal lessthanorequal lessthanorequalto atmost onorbefore",
    ),
    (Is::Between, false, "between isbetween entre"),
    (
        Is::Empty,
        false,
        "empty isempty null isnull blank isblank notset isnotset unknown vazio notexists doesnotexist",
    ),
    (
        Is::Empty,
        true,
        "notempty isnotempty notnull isnotnull notblank isnotblank set isset known exists exist",
    ),
    (Is::Yes, false, "true istrue yes isyes"),
    (Is::Yes, true, "false isfalse no isno"),
    (Is::Between, true, "notbetween isnotbetween"),
];

impl Is {
    /// What a comparator means, and whether it is denied.
    pub fn parse(word: &str) -> Option<(Self, bool)> {
        let word = word.trim().to_lowercase();
        let plain: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        let meant = |words: &str| words.split(' ').any(|known| known == word || known == plain);
        WORDS
            .iter()
            .find(|(.., words)| meant(words))
            .map(|(is, denied, _)| (*is, *denied))
    }
}
