//! Evaluation of a tree, with the null rule: null in, null out; a null condition is false.

use std::{cell::Cell, cmp::Ordering};

use super::{
    Environment,
    tree::{Loop, LoopKind, Node, Operator, Variable},
    value::{Map, Val},
};
use crate::mapping::scope::Scope;

pub(super) type Evaluated<'a> = Result<Val<'a>, String>;

/// What one evaluation may cost, in units of about one small value: loops over loops end, and so do values that double.
const BUDGET: usize = 1_000_000;

/// One evaluation.
pub(super) struct Run<'a> {
    pub(super) environment: &'a Environment,
    scope: &'a Scope<'a>,
    budget: Cell<usize>,
    note: Cell<Option<&'static str>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(environment: &'a Environment, scope: &'a Scope<'a>) -> Self {
        Self {
            environment,
            scope,
            budget: Cell::new(BUDGET),
            note: Cell::new(None),
        }
    }

    /// Notes that a value was not kept as it is.
    pub(super) fn note(&self, code: &'static str) {
        self.note.set(Some(code));
    }

    /// What was noted.
    pub(super) fn noted(&self) -> Option<&'static str> {
        self.note.get()
    }

    pub(super) fn spend(&self, cost: usize) -> Result<(), String> {
        let left = self.budget.get().checked_sub(cost);
        self.budget
            .set(left.ok_or("the expression does too much work for one record")?);
        Ok(())
    }

    /// The value of a node; `locals` are the variables of the loops around it.
    pub(super) fn value(&self, node: &'a Node, locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        Ok(match node {
            Node::Null => Val::Null,
            Node::Bool(yes) => Val::Bool(*yes),
            Node::Int(number) => Val::Int(*number),
            Node::Double(number) => Val::Double(*number),
            Node::Text(text) => Val::text(text.as_str()),
            Node::Type(name) => Val::Type(name),
            Node::Field(name) => self.scope.field(name).map_or(Val::Null, Val::data),
            Node::Variable(variable) => self.variable(*variable)?,
            Node::Local(slot) => {
                let value = locals.get(*slot).cloned().unwrap_or(Val::Null);
                self.spend(value.weight())?;
                value
            }
            Node::Select(operand, name) => select(self.value(operand, locals)?, name)?,
            Node::Index(operand, index) => {
                let operand = self.value(operand, locals)?;
                at(operand, &self.value(index, locals)?)?
            }
            Node::Has(selection) => Val::Bool(!self.value(selection, locals)?.is_null()),
            Node::And(parts) => self.junction(parts, false, locals)?,
            Node::Or(parts) => self.junction(parts, true, locals)?,
            Node::Choice(choice) => self.choice(choice, locals)?,
            Node::Binary(operator, operands) => self.binary(*operator, operands, locals)?,
            Node::Call(function, arguments) => {
                let values = self.values(arguments, locals)?;
                if !function.sees_null && values.iter().any(Val::is_null) {
                    Val::Null
                } else {
                    (function.run)(self, values).map_err(|error| format!("{}: {error}", function.name))?
                }
            }
            Node::List(nodes) => Val::list(self.values(nodes, locals)?),
            Node::Map(entries) => self.map(entries, locals)?,
            Node::Not(operand) => negated(&self.value(operand, locals)?)?,
            Node::Negate(operand) => minus(&self.value(operand, locals)?)?,
            Node::Matches(text, regex) => match self.value(text, locals)? {
                Val::Null => Val::Null,
                Val::Text(text) => Val::Bool(regex.is_match(&text)),
                other => return Err(format!("matches takes string, not {}", other.type_name())),
            },
            Node::Loop(looped) => self.looped(looped, locals)?,
        })
    }

    fn values(&self, nodes: &'a [Node], locals: &mut Vec<Val<'a>>) -> Result<Vec<Val<'a>>, String> {
        nodes.iter().map(|node| self.value(node, locals)).collect()
    }

    /// A condition: null is false.
    pub(super) fn holds(&self, node: &'a Node, locals: &mut Vec<Val<'a>>) -> Result<bool, String> {
        match self.value(node, locals)? {
            Val::Null => Ok(false),
            Val::Bool(yes) => Ok(yes),
            other => Err(no_condition("a condition", &other)),
        }
    }

    fn variable(&self, variable: Variable) -> Evaluated<'a> {
        let each = || {
            self.scope
                .each
                .ok_or("item, parent and index are there only with `each`")
        };
        Ok(match variable {
            Variable::Record => {
                let fields = self.scope.record.iter().chain(self.scope.lets);
                let entries: Vec<_> = fields
                    .map(|(name, value)| (Val::text(name.as_str()), Val::data(value)))
                    .collect();
                self.spend(entries.len())?;
                Val::Map(Map::Own(entries))
            }
            Variable::Item => Val::data(each()?.item),
            Variable::Parent => Val::data(each()?.parent),
            Variable::Index => match self.scope.place() {
                Some(place) => Val::Int(place),
                None => Val::Int(each()?.index),
            },
            Variable::Line => Val::data(self.scope.line.ok_or("line is there only in lines")?.item),
            Variable::Params => {
                let entries = self.environment.params.iter();
                let entries = entries.map(|(name, value)| (Val::text(name.as_str()), Val::data(value)));
                Val::Map(Map::Own(entries.collect()))
            }
        })
    }

    /// `&&` (`decisive` false) or `||` (true): one decisive part decides, even beside an error, as in CEL; null if a
    /// part is null and none decides.
    fn junction(&self, parts: &'a [Node], decisive: bool, locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        let mut failed = None;
        let mut null = false;
        for part in parts {
            match self.value(part, locals) {
                Ok(Val::Bool(yes)) if yes == decisive => return Ok(Val::Bool(decisive)),
                Ok(Val::Bool(_)) => {}
                Ok(Val::Null) => null = true,
                Ok(other) => {
                    failed.get_or_insert_with(|| no_condition(if decisive { "||" } else { "&&" }, &other));
                }
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if null => Ok(Val::Null),
            None => Ok(Val::Bool(!decisive)),
        }
    }

    fn choice(&self, [condition, then, otherwise]: &'a [Node; 3], locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        let branch = if self.holds(condition, locals)? {
            then
        } else {
            otherwise
        };
        self.value(branch, locals)
    }

    fn binary(&self, operator: Operator, operands: &'a [Node; 2], locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        let left = self.value(&operands[0], locals)?;
        let right = self.value(&operands[1], locals)?;
        match operator {
            Operator::Equal => Ok(Val::Bool(left.equals(&right))),
            Operator::NotEqual => Ok(Val::Bool(!left.equals(&right))),
            Operator::In => self.is_in(&left, &right).map(Val::Bool),
            Operator::Less => compared(&left, &right, Ordering::is_lt),
            Operator::LessEqual => compared(&left, &right, Ordering::is_le),
            Operator::Greater => compared(&left, &right, Ordering::is_gt),
            Operator::GreaterEqual => compared(&left, &right, Ordering::is_ge),
            _ if left.is_null() || right.is_null() => Ok(Val::Null),
            Operator::Add => self.add(left, right),
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                arithmetic(operator, &left, &right)
            }
        }
    }

    /// An element of a list; a key of a map that has a value. Nothing is in null.
    fn is_in(&self, value: &Val<'_>, holder: &Val<'_>) -> Result<bool, String> {
        match holder {
            Val::Null => Ok(false),
            Val::List(list) => {
                self.spend(list.len())?;
                Ok(list.iter().any(|element| element.equals(value)))
            }
            Val::Map(map) => Ok(!map.get(value).is_empty()),
            other => Err(format!("in takes a list or a map, not {}", other.type_name())),
        }
    }

    fn add(&self, left: Val<'a>, right: Val<'a>) -> Evaluated<'a> {
        match (left, right) {
            (Val::Text(a), Val::Text(b)) => {
                self.spend((a.len() + b.len()) / 16)?;
                Ok(Val::text(a.into_owned() + &b))
            }
            (Val::List(a), Val::List(b)) => {
                self.spend(a.len() + b.len())?;
                let mut list = a.into_vec();
                list.extend(b.into_vec());
                Ok(Val::list(list))
            }
            (left, right) => arithmetic(Operator::Add, &left, &right),
        }
    }

    fn map(&self, entries: &'a [(Node, Node)], locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        let mut map: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.value(key, locals)?;
            if !matches!(key, Val::Text(_) | Val::Int(_) | Val::Bool(_)) {
                return Err(format!(
                    "the key of a map is string, int or bool, not {}",
                    key.type_name()
                ));
            }
            if map.iter().any(|(known, _)| known.equals(&key)) {
                return Err("a map has a key twice".to_owned());
            }
            map.push((key, self.value(value, locals)?));
        }
        Ok(Val::Map(Map::Own(map)))
    }

    fn looped(&self, looped: &'a Loop, locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        let elements = match self.value(&looped.range, locals)? {
            Val::Null => Vec::new(),
            Val::List(list) => list.into_vec(),
            Val::Map(map) => map.keys().collect(),
            other => return Err(format!("a loop goes over a list or a map, not {}", other.type_name())),
        };
        let kept = |element: Val<'a>, locals: &mut Vec<Val<'a>>, node: &'a Node| {
            self.with(element, locals, |run, locals| run.holds(node, locals))
        };
        match looped.kind {
            LoopKind::All | LoopKind::Exists => self.quantified(looped, elements, locals),
            LoopKind::ExistsOne => {
                let mut count = 0;
                for element in elements {
                    count += usize::from(kept(element, locals, &looped.body)?);
                }
                Ok(Val::Bool(count == 1))
            }
            LoopKind::Filter => {
                let mut list = Vec::new();
                for element in elements {
                    self.spend(element.weight())?;
                    if kept(element.clone(), locals, &looped.body)? {
                        list.push(element);
                    }
                }
                Ok(Val::list(list))
            }
            LoopKind::Map => self.mapped(looped, elements, locals).map(Val::list),
            LoopKind::SortBy => {
                let keys = self.mapped(looped, elements.clone(), locals)?;
                let mut keyed: Vec<_> = keys.into_iter().zip(elements).collect();
                super::lists::sort_by(&mut keyed, |(key, _)| key)?;
                Ok(Val::list(keyed.into_iter().map(|(_, element)| element).collect()))
            }
        }
    }

    /// `all` and `exists`: as `&&` and `||` over the elements.
    fn quantified(&self, looped: &'a Loop, elements: Vec<Val<'a>>, locals: &mut Vec<Val<'a>>) -> Evaluated<'a> {
        let decisive = looped.kind == LoopKind::Exists;
        let mut failed = None;
        for element in elements {
            match self.with(element, locals, |run, locals| run.holds(&looped.body, locals)) {
                Ok(yes) if yes == decisive => return Ok(Val::Bool(decisive)),
                Ok(_) => {}
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(Val::Bool(!decisive)), Err)
    }

    fn mapped(
        &self,
        looped: &'a Loop,
        elements: Vec<Val<'a>>,
        locals: &mut Vec<Val<'a>>,
    ) -> Result<Vec<Val<'a>>, String> {
        let mut list = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.with(element, locals, |run, locals| {
                let kept = looped
                    .filter
                    .as_ref()
                    .map_or(Ok(true), |filter| run.holds(filter, locals))?;
                kept.then(|| run.value(&looped.body, locals)).transpose()
            })?;
            list.extend(value);
        }
        Ok(list)
    }

    /// Does something with the loop's variable on the stack.
    fn with<T>(
        &self,
        element: Val<'a>,
        locals: &mut Vec<Val<'a>>,
        body: impl FnOnce(&Self, &mut Vec<Val<'a>>) -> Result<T, String>,
    ) -> Result<T, String> {
        self.spend(1)?;
        locals.push(element);
        let result = body(self, locals);
        locals.pop();
        result
    }
}

const OVERFLOW: &str = "a whole number goes beyond 64 bits";

fn no_condition(what: &str, value: &Val<'_>) -> String {
    format!(
        "{what} is true or false, not {}; write a comparison or yes(…)",
        value.type_name()
    )
}

fn negated<'a>(value: &Val<'_>) -> Evaluated<'a> {
    match value {
        Val::Null => Ok(Val::Null),
        Val::Bool(yes) => Ok(Val::Bool(!yes)),
        other => Err(no_condition("!", other)),
    }
}

fn minus<'a>(value: &Val<'_>) -> Evaluated<'a> {
    match value {
        Val::Null => Ok(Val::Null),
        Val::Int(number) => Ok(Val::Int(number.checked_neg().ok_or(OVERFLOW)?)),
        Val::Double(number) => Ok(Val::Double(-number)),
        other => Err(format!("- takes a number, not {}", other.type_name())),
    }
}

fn select<'a>(operand: Val<'a>, name: &'a str) -> Evaluated<'a> {
    match operand {
        Val::Null => Ok(Val::Null),
        Val::Map(map) => Ok(map.get(&Val::text(name))),
        other => Err(format!(".{name} is taken of a map, not {}", other.type_name())),
    }
}

fn at<'a>(operand: Val<'a>, index: &Val<'_>) -> Evaluated<'a> {
    match (operand, index) {
        (Val::Null, _) | (_, Val::Null) => Ok(Val::Null),
        (Val::Map(map), key) => Ok(map.get(key)),
        (Val::List(list), Val::Int(place)) => Ok(list.take(*place)),
        (other, index) => Err(format!("[{}] is not taken of {}", index.type_name(), other.type_name())),
    }
}

fn compared<'a>(left: &Val<'_>, right: &Val<'_>, wanted: fn(Ordering) -> bool) -> Evaluated<'a> {
    if left.is_null() || right.is_null() {
        return Ok(Val::Bool(false));
    }
    let comparable = |value: &Val<'_>| matches!(value, Val::Int(_) | Val::Double(_));
    match left.compare(right) {
        Some(order) => Ok(Val::Bool(wanted(order))),
        // NaN
        None if comparable(left) && comparable(right) => Ok(Val::Bool(false)),
        None => Err(format!("{} and {} have no order", left.type_name(), right.type_name())),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Val<'_>, right: &Val<'_>) -> Evaluated<'a> {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => whole(operator, *a, *b).map(Val::Int),
        (Val::Double(a), Val::Double(b)) => match operator {
            Operator::Subtract => Ok(Val::Double(a - b)),
            Operator::Multiply => Ok(Val::Double(a * b)),
            Operator::Divide => Ok(Val::Double(a / b)),
            Operator::Remainder => Err("% takes whole numbers".to_owned()),
            _ => Ok(Val::Double(a + b)),
        },
        (Val::Int(_), Val::Double(_)) | (Val::Double(_), Val::Int(_)) => {
            Err("int and double do not mix: write 1.0, or double(…)".to_owned())
        }
        (left, right) => {
            let hint = match (left, right) {
                (Val::Text(_), _) | (_, Val::Text(_)) => "; use number(…) or string(…)",
                _ => "",
            };
            Err(format!(
                "an operator does not take {} and {}{hint}",
                left.type_name(),
                right.type_name()
            ))
        }
    }
}

fn whole(operator: Operator, a: i64, b: i64) -> Result<i64, String> {
    if b == 0 && matches!(operator, Operator::Divide | Operator::Remainder) {
        return Err("division by zero".to_owned());
    }
    match operator {
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
        _ => a.checked_add(b),
    }
    .ok_or_else(|| OVERFLOW.to_owned())
}
