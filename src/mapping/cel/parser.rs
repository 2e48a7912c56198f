//! From tokens to the tree: recursive descent with a bound on depth, names resolved on the way.

use std::collections::BTreeSet;

use regex::Regex;

use super::{
    CelProblem, Names,
    functions::{self, Style},
    lexer::{Token, tokens},
    tree::{LOOPS, Loop, LoopKind, Node, Operator, TYPES, VARIABLES, Variable},
};
use crate::mapping::nearest::nearest;

/// Deepest nesting, of brackets as well as of the tree: neither parsing nor evaluating nor dropping runs out of stack.
const DEPTH_MAX: usize = 64;
/// Bound of the schema, in characters.
const LENGTH_MAX: usize = 4096;

/// Words that CEL keeps for itself.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

const NAMESPACES: [&str; 3] = ["math", "strings", "lists"];

/// A subtree and how deep it is.
struct Tree {
    node: Node,
    depth: usize,
}

impl From<Node> for Tree {
    fn from(node: Node) -> Self {
        Self { node, depth: 1 }
    }
}

type Parsed = Result<Tree, CelProblem>;

pub(super) fn parse(source: &str) -> Result<(Node, Names), CelProblem> {
    if source.chars().count() > LENGTH_MAX {
        return Err(CelProblem::of_syntax(format!(
            "an expression has {LENGTH_MAX} characters at most"
        )));
    }
    let mut parser = Parser {
        source,
        tokens: tokens(source)?,
        at: 0,
        nesting: 0,
        locals: Vec::new(),
        names: Names::default(),
    };
    let tree = parser.expression()?;
    match parser.peek() {
        Token::End => Ok((tree.node, parser.names)),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    nesting: usize,
    locals: Vec<String>,
    names: Names,
}

impl Parser<'_> {
    fn expression(&mut self) -> Parsed {
        self.nesting += 1;
        self.bounded(self.nesting)?;
        let condition = self.junction("||")?;
        let tree = if self.eat("?") {
            let then = self.junction("||")?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            let depth = self.deeper([condition.depth, then.depth, otherwise.depth])?;
            let node = Node::Choice(Box::new([condition.node, then.node, otherwise.node]));
            Tree { node, depth }
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(tree)
    }

    /// `a || b || c`, or `a && b && c`: one node, however long.
    fn junction(&mut self, mark: &str) -> Parsed {
        let mut depths = Vec::new();
        let mut nodes = Vec::new();
        loop {
            let part = if mark == "||" {
                self.junction("&&")?
            } else {
                self.relation()?
            };
            depths.push(part.depth);
            nodes.push(part.node);
            if !self.eat(mark) {
                break;
            }
        }
        if nodes.len() == 1 {
            let (node, depth) = (nodes.remove(0), depths[0]);
            return Ok(Tree { node, depth });
        }
        let depth = self.deeper(depths)?;
        let node = if mark == "||" {
            Node::Or(nodes)
        } else {
            Node::And(nodes)
        };
        Ok(Tree { node, depth })
    }

    fn relation(&mut self) -> Parsed {
        self.chain(Self::sum, |token| match token {
            Token::Mark("==") => Some(Operator::Equal),
            Token::Mark("!=") => Some(Operator::NotEqual),
            Token::Mark("<") => Some(Operator::Less),
            Token::Mark("<=") => Some(Operator::LessEqual),
            Token::Mark(">") => Some(Operator::Greater),
            Token::Mark(">=") => Some(Operator::GreaterEqual),
            Token::Name(name) if name == "in" => Some(Operator::In),
            _ => None,
        })
    }

    fn sum(&mut self) -> Parsed {
        self.chain(Self::product, |token| match token {
            Token::Mark("+") => Some(Operator::Add),
            Token::Mark("-") => Some(Operator::Subtract),
            _ => None,
        })
    }

    fn product(&mut self) -> Parsed {
        self.chain(Self::unary, |token| match token {
            Token::Mark("*") => Some(Operator::Multiply),
            Token::Mark("/") => Some(Operator::Divide),
            Token::Mark("%") => Some(Operator::Remainder),
            _ => None,
        })
    }

    fn chain(&mut self, part: fn(&mut Self) -> Parsed, operator: fn(&Token) -> Option<Operator>) -> Parsed {
        let mut left = part(self)?;
        while let Some(operator) = operator(self.peek()) {
            self.at += 1;
            let right = part(self)?;
            let depth = self.deeper([left.depth, right.depth])?;
            let node = Node::Binary(operator, Box::new([left.node, right.node]));
            left = Tree { node, depth };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        for (mark, build) in [("!", Node::Not as fn(Box<Node>) -> Node), ("-", Node::Negate)] {
            let mut times = 0_usize;
            while self.eat(mark) {
                times += 1;
                if mark == "-"
                    && let Token::Int(value) = *self.peek()
                {
                    self.at += 1;
                    let negative = 0_i64.checked_sub_unsigned(value);
                    let node = negative
                        .map(Node::Int)
                        .ok_or_else(|| self.problem("a number that is too large"))?;
                    let operand = self.postfix(node.into())?;
                    return self.wrapped(operand, times - 1, build);
                }
            }
            if times > 0 {
                let operand = self.member()?;
                return self.wrapped(operand, times, build);
            }
        }
        self.member()
    }

    fn wrapped(&self, mut tree: Tree, times: usize, build: fn(Box<Node>) -> Node) -> Parsed {
        for _ in 0..times {
            let depth = self.deeper([tree.depth])?;
            tree = Tree {
                node: build(Box::new(tree.node)),
                depth,
            };
        }
        Ok(tree)
    }

    fn member(&mut self) -> Parsed {
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn postfix(&mut self, mut tree: Tree) -> Parsed {
        loop {
            tree = if self.eat(".") {
                let name = self.name()?;
                if self.eat("(") {
                    self.method(tree, &name)?
                } else {
                    self.select(tree, name)?
                }
            } else if self.eat("[") {
                let index = self.expression()?;
                self.expect("]")?;
                match index.node {
                    Node::Text(name) if matches!(tree.node, Node::Variable(Variable::Record | Variable::Params)) => {
                        self.select(tree, name)?
                    }
                    node => {
                        let depth = self.deeper([tree.depth, index.depth])?;
                        Tree {
                            node: Node::Index(Box::new(tree.node), Box::new(node)),
                            depth,
                        }
                    }
                }
            } else {
                return Ok(tree);
            };
        }
    }

    fn select(&mut self, operand: Tree, name: String) -> Parsed {
        match operand.node {
            Node::Variable(Variable::Record) => {
                self.names.record_fields.insert(name.clone());
                return Ok(Node::Field(name).into());
            }
            Node::Variable(Variable::Params) => {
                self.names.params.insert(name.clone());
            }
            _ => {}
        }
        let depth = self.deeper([operand.depth])?;
        Ok(Tree {
            node: Node::Select(Box::new(operand.node), name),
            depth,
        })
    }

    fn primary(&mut self) -> Parsed {
        let token = self.peek().clone();
        self.at += 1;
        let node = match token {
            Token::Int(value) => {
                Node::Int(i64::try_from(value).map_err(|_| self.problem("a number that is too large"))?)
            }
            Token::Double(value) => Node::Double(value),
            Token::Text(text) => Node::Text(text),
            Token::Name(name) => return self.named(&name),
            Token::Mark("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Mark("[") => {
                let (nodes, depth) = self.list("]")?;
                return Ok(Tree {
                    node: Node::List(nodes),
                    depth,
                });
            }
            Token::Mark("{") => return self.map(),
            Token::Mark(_) | Token::End => {
                self.at -= 1;
                return Err(self.unexpected());
            }
        };
        Ok(node.into())
    }

    fn named(&mut self, name: &str) -> Parsed {
        match name {
            "null" => return Ok(Node::Null.into()),
            "true" => return Ok(Node::Bool(true).into()),
            "false" => return Ok(Node::Bool(false).into()),
            _ if RESERVED.contains(&name) => {
                self.at -= 1;
                return Err(self.unexpected());
            }
            _ => {}
        }
        if self.eat("(") {
            return self.function(name);
        }
        if let Some(slot) = self.locals.iter().rposition(|local| local == name) {
            return Ok(Node::Local(slot).into());
        }
        if NAMESPACES.contains(&name) && *self.peek() == Token::Mark(".") {
            self.at += 1;
            let function = format!("{name}.{}", self.name()?);
            self.expect("(")?;
            return self.function(&function);
        }
        if let Some((name, variable)) = VARIABLES.into_iter().find(|(known, _)| *known == name) {
            self.names.variables.insert(name.to_owned());
            return Ok(Node::Variable(variable).into());
        }
        if let Some(known) = TYPES.into_iter().find(|known| *known == name) {
            return Ok(Node::Type(known).into());
        }
        let known: BTreeSet<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        let locals = self.locals.iter().map(String::as_str);
        Err(CelProblem::unknown("variable", name, known.into_iter().chain(locals)))
    }

    /// A call of a function, its bracket read.
    fn function(&mut self, name: &str) -> Parsed {
        let (mut nodes, depth) = self.list(")")?;
        if name == "has" {
            return match (nodes.len(), nodes.pop()) {
                (1, Some(node @ (Node::Select(..) | Node::Field(_)))) => Ok(Tree {
                    node: Node::Has(Box::new(node)),
                    depth,
                }),
                _ => Err(self.problem("has takes a selection, such as has(record.name)")),
            };
        }
        // as in `math.least(1, 2, 3)`
        if matches!(name, "math.greatest" | "math.least") && nodes.len() > 1 {
            nodes = vec![Node::List(nodes)];
        }
        self.call(name, nodes, depth + 1, Style::Function)
    }

    /// A call on a value, its bracket read.
    fn method(&mut self, target: Tree, name: &str) -> Parsed {
        if let Some((_, kind)) = LOOPS.into_iter().find(|(known, _)| *known == name) {
            return self.macro_loop(kind, name, target);
        }
        let (nodes, depth) = self.list(")")?;
        let depth = self.deeper([target.depth, depth])?;
        let nodes = std::iter::once(target.node).chain(nodes).collect();
        self.call(name, nodes, depth, Style::Method)
    }

    fn call(&mut self, name: &str, mut nodes: Vec<Node>, depth: usize, style: Style) -> Parsed {
        let function = functions::find(name, style).map_err(|other| match other {
            Some(Style::Method) => CelProblem::name(format!("{name} is called on a value: write x.{name}(…)")),
            Some(_) => CelProblem::name(format!("{name} is not called on a value: write {name}(x)")),
            None => CelProblem::unknown("function", name, functions::names()),
        })?;
        if !function.takes.contains(&nodes.len()) {
            return Err(self.problem(&format!("the wrong number of arguments for {name}")));
        }
        self.bounded(depth)?;
        self.names.installed |= name == "installed";
        if name == "matches"
            && let [_, Node::Text(pattern)] = nodes.as_slice()
        {
            let regex = functions::pattern(pattern).map_err(|error| self.problem(&error))?;
            return Ok(Tree {
                node: Self::matches(nodes.swap_remove(0), regex),
                depth,
            });
        }
        Ok(Tree {
            node: Node::Call(function, nodes),
            depth,
        })
    }

    fn matches(text: Node, regex: Regex) -> Node {
        Node::Matches(Box::new(text), regex)
    }

    fn macro_loop(&mut self, kind: LoopKind, name: &str, range: Tree) -> Parsed {
        let variable = self.name()?;
        self.expect(",")?;
        self.locals.push(variable);
        let first = self.expression()?;
        let second = if kind == LoopKind::Map && self.eat(",") {
            Some(self.expression()?)
        } else {
            None
        };
        self.locals.pop();
        if !self.eat(")") {
            return Err(self.problem(&format!("{name} takes a name and an expression")));
        }
        let second_depth = second.as_ref().map_or(0, |tree| tree.depth);
        let depth = self.deeper([range.depth, first.depth, second_depth])?;
        let (filter, body) = match second {
            Some(body) => (Some(first.node), body.node),
            None => (None, first.node),
        };
        let node = Node::Loop(Box::new(Loop {
            kind,
            range: range.node,
            filter,
            body,
        }));
        Ok(Tree { node, depth })
    }

    /// Expressions up to the closing bracket, and the depth of what holds them.
    fn list(&mut self, close: &str) -> Result<(Vec<Node>, usize), CelProblem> {
        let (mut nodes, mut depth) = (Vec::new(), 1);
        while !self.eat(close) {
            let element = self.expression()?;
            depth = depth.max(self.deeper([element.depth])?);
            nodes.push(element.node);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok((nodes, depth))
    }

    fn map(&mut self) -> Parsed {
        let (mut entries, mut depth) = (Vec::new(), 1);
        while !self.eat("}") {
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            depth = depth.max(self.deeper([key.depth, value.depth])?);
            entries.push((key.node, value.node));
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Tree {
            node: Node::Map(entries),
            depth,
        })
    }

    fn name(&mut self) -> Result<String, CelProblem> {
        let Token::Name(name) = self.peek() else {
            return Err(self.unexpected());
        };
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(found) if *found == mark);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), CelProblem> {
        if self.eat(mark) {
            return Ok(());
        }
        let what = format!("expected {mark:?}, found {}", self.found());
        Err(self.problem(&what))
    }

    fn deeper(&self, depths: impl IntoIterator<Item = usize>) -> Result<usize, CelProblem> {
        let depth = depths.into_iter().max().unwrap_or(0) + 1;
        self.bounded(depth)?;
        Ok(depth)
    }

    fn bounded(&self, depth: usize) -> Result<(), CelProblem> {
        if depth > DEPTH_MAX {
            return Err(self.problem(&format!(
                "nested or chained deeper than {DEPTH_MAX}: use a let for a part of it"
            )));
        }
        Ok(())
    }

    fn unexpected(&self) -> CelProblem {
        self.problem(&format!("unexpected {}", self.found()))
    }

    fn found(&self) -> String {
        match self.peek() {
            Token::Name(name) => format!("{name:?}"),
            Token::Mark("=") => "\"=\" (equality is ==)".to_owned(),
            Token::Mark("|") => "\"|\" (alternatives are first([a, b]))".to_owned(),
            Token::Mark(mark) => format!("{mark:?}"),
            Token::Text(_) => "a text".to_owned(),
            Token::Int(_) | Token::Double(_) => "a number".to_owned(),
            Token::End => "the end".to_owned(),
        }
    }

    fn problem(&self, what: &str) -> CelProblem {
        let place = self.tokens[self.at.min(self.tokens.len() - 1)].1;
        CelProblem::syntax(self.source, place, what)
    }
}

impl CelProblem {
    /// A problem with the text, at a place in bytes.
    pub(super) fn syntax(source: &str, place: usize, what: &str) -> Self {
        let place = source[..place].chars().count() + 1;
        Self::of_syntax(format!("{what} at character {place} of the expression"))
    }

    fn of_syntax(message: String) -> Self {
        Self {
            code: "CelSyntax",
            message,
        }
    }

    fn name(message: String) -> Self {
        Self {
            code: "CelName",
            message,
        }
    }

    fn unknown<'n>(what: &str, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        let hint = nearest(name, known).map_or_else(String::new, |nearest| format!("; the nearest is {nearest}"));
        Self::name(format!("there is no {what} {name}{hint}"))
    }
}
