//! Outcomes for people: terminal, JSON, Markdown. Pure.

pub mod books;
mod ink;
pub mod scope;
pub mod status;
pub mod whole;

/// What a report is made of, as JSON for people.
fn pretty<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("a report is plain data")
}
