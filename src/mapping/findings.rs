//! Findings: bounded, sorted.

use crate::api::mapping_spec::{Finding, Severity};

const CODE_MAX: usize = 63;
const PATH_MAX: usize = 512;
const MESSAGE_MAX: usize = 1024;

/// A finding within the bounds of the schema.
pub(super) fn bounded(severity: Severity, code: &str, path: &str, message: impl Into<String>) -> Finding {
    Finding {
        severity,
        code: shortened(code, CODE_MAX),
        path: shortened(path, PATH_MAX),
        message: shortened(&message.into(), MESSAGE_MAX),
    }
}

/// At most `max` characters; what is cut shows as an ellipsis.
pub(super) fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

/// Findings as they are collected.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub fn error(&mut self, code: &str, path: &str, message: impl Into<String>) {
        self.0.push(bounded(Severity::Error, code, path, message));
    }

    pub fn warning(&mut self, code: &str, path: &str, message: impl Into<String>) {
        self.0.push(bounded(Severity::Warning, code, path, message));
    }

    pub fn info(&mut self, code: &str, path: &str, message: impl Into<String>) {
        self.0.push(bounded(Severity::Info, code, path, message));
    }

    pub fn any_error(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Most severe first, then by path and code; the same said twice once.
    pub fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by(|a, b| {
            (a.severity, &a.path, &a.code, &a.message).cmp(&(b.severity, &b.path, &b.code, &b.message))
        });
        self.0.dedup();
        self.0
    }
}

/// `; did you mean X?`, or nothing.
pub(super) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    super::nearest::nearest(name, candidates).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}
