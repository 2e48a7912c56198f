//! The tree of an expression: names are resolved, macros are loops of their own.

use regex::Regex;

use super::functions::Function;

/// A node.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Type(&'static str),
    Variable(Variable),
    /// A variable of a loop: its place on the stack.
    Local(usize),
    /// `record.NAME`, the commonest of all.
    Field(String),
    Select(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    /// `has(operand.name)`, the selection.
    Has(Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// Condition, then, else.
    Choice(Box<[Node; 3]>),
    Binary(Operator, Box<[Node; 2]>),
    Call(&'static Function, Vec<Node>),
    /// `matches` with a constant pattern.
    Matches(Box<Node>, Regex),
    Loop(Box<Loop>),
}

/// What the data is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Record,
    Item,
    Parent,
    Index,
    Line,
    Params,
}

/// Names of the variables.
pub(super) const VARIABLES: [(&str, Variable); 6] = [
    ("record", Variable::Record),
    ("item", Variable::Item),
    ("parent", Variable::Parent),
    ("index", Variable::Index),
    ("line", Variable::Line),
    ("params", Variable::Params),
];

/// Names of types, for `type(x) == string`.
pub(super) const TYPES: [&str; 8] = ["bool", "int", "double", "string", "list", "map", "null_type", "type"];

/// An operator on two values, neither a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

/// A macro over a list or the keys of a map.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    /// Only for a `map` with three arguments.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    SortBy,
}

/// Names of the macros.
pub(super) const LOOPS: [(&str, LoopKind); 7] = [
    ("all", LoopKind::All),
    ("exists", LoopKind::Exists),
    ("exists_one", LoopKind::ExistsOne),
    ("existsOne", LoopKind::ExistsOne),
    ("map", LoopKind::Map),
    ("filter", LoopKind::Filter),
    ("sortBy", LoopKind::SortBy),
];
