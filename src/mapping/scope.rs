//! What a path or an expression sees of one record.

use crate::model::{Record, Value};

/// What a path or an expression sees.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The source record.
    pub record: &'a Record,
    /// Values of `let`, seen as `record.NAME`.
    pub lets: &'a Record,
    /// The element, where `each` is.
    pub each: Option<Each<'a>>,
    /// The element that a line of a one2many is made of.
    pub line: Option<Each<'a>>,
}

/// One element of a list that `each` goes over.
#[derive(Clone, Copy, Debug)]
pub struct Each<'a> {
    /// The element.
    pub item: &'a Value,
    /// What holds it; null where that is the record itself.
    pub parent: &'a Value,
    /// Its place, from 0.
    pub index: i64,
}

impl<'a> Scope<'a> {
    /// What `record.NAME` is: a field of the record, or a `let` (which may not hide one).
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a Value> {
        self.record.get(name).or_else(|| self.lets.get(name))
    }

    /// What `index` is: the place of the line, else that of the element.
    #[must_use]
    pub fn place(&self) -> Option<i64> {
        self.line.or(self.each).map(|element| element.index)
    }
}
