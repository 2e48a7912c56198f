//! Expressions: CEL with the string, list and math extensions, without the clock, bytes and uint, and with one change:
//! null in, null out; a null condition is false. What is empty in the data (blank text, an empty list or map) is null.
//!
//! Parser and evaluator are our own. The crate `cel` was tried: its parser overflows a 2 MiB stack at thirty brackets,
//! its error texts quote values of the record, and the null rule on top of its evaluator (a rewriting of the tree) ran
//! at a third of its speed. A tree made for the rule is smaller than the rewriting, borrows all it reads, and has
//! bounds on depth and work. Tests compare it with the crate wherever no null is involved.

mod evaluate;
mod functions;
mod lexer;
mod lists;
mod math;
mod parser;
mod rules;
mod text;
mod tree;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{evaluate::Run, tree::Node};
use super::{read::Formats, rules::Domains, scope::Scope};
use crate::model::Value;

/// What expressions of a mapping see besides the record. Built once per mapping.
#[derive(Clone, Debug)]
pub struct Environment {
    params: BTreeMap<String, Value>,
    formats: Formats,
    installed: Option<BTreeSet<String>>,
    /// What `domain` can say.
    domains: Domains,
}

/// Why an expression cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CelProblem {
    /// `CelSyntax` or `CelName`.
    pub code: &'static str,
    /// What is wrong, where, and what would be right.
    pub message: String,
}

/// A compiled expression. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Arc<str>,
    root: Arc<Node>,
    names: Arc<Names>,
}

/// The names an expression uses.
#[derive(Clone, Debug, Default)]
struct Names {
    variables: BTreeSet<String>,
    record_fields: BTreeSet<String>,
    params: BTreeSet<String>,
    installed: bool,
}

impl Environment {
    /// An environment. `installed` are the modules of the Odoo found; `None` before one was looked at.
    #[must_use]
    pub fn new(params: BTreeMap<String, Value>, formats: Formats, installed: Option<BTreeSet<String>>) -> Self {
        Self {
            params,
            formats,
            installed,
            domains: Domains::default(),
        }
    }

    /// With the objects that `domain` speaks of.
    #[must_use]
    pub(super) fn with_domains(self, domains: Domains) -> Self {
        Self { domains, ..self }
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// On wrong syntax, and on variables and functions that do not exist.
    pub fn compile(&self, source: &str) -> Result<Expression, CelProblem> {
        let (root, names) = parser::parse(source)?;
        Ok(Expression {
            source: source.into(),
            root: Arc::new(root),
            names: Arc::new(names),
        })
    }
}

impl Expression {
    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// NAME of every `record.NAME` (and `record["NAME"]`) in it.
    #[must_use]
    pub fn record_fields(&self) -> BTreeSet<String> {
        self.names.record_fields.clone()
    }

    /// The variables it uses, of `record item parent index params`.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        self.names.variables.clone()
    }

    /// NAME of every `params.NAME` in it.
    #[must_use]
    pub fn params(&self) -> BTreeSet<String> {
        self.names.params.clone()
    }

    /// Whether it calls `installed`, which only `when` may.
    #[must_use]
    pub fn uses_installed(&self) -> bool {
        self.names.installed
    }

    /// Its value.
    ///
    /// # Errors
    /// A sentence without values of the record.
    pub fn evaluate(&self, env: &Environment, scope: &Scope<'_>) -> Result<Value, String> {
        self.evaluate_noting(env, scope).map(|(value, _)| value)
    }

    /// Its value, and the word for what a function could not keep as it is.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate_noting(
        &self,
        env: &Environment,
        scope: &Scope<'_>,
    ) -> Result<(Value, Option<&'static str>), String> {
        let run = Run::new(env, scope);
        let value = run.value(&self.root, &mut Vec::new())?.into_json()?;
        Ok((value, run.noted()))
    }

    /// Whether it holds: null is false.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and when the result is neither null nor a boolean.
    pub fn condition(&self, env: &Environment, scope: &Scope<'_>) -> Result<bool, String> {
        Run::new(env, scope).holds(&self.root, &mut Vec::new())
    }
}

#[cfg(test)]
mod tests;
