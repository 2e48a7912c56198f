//! Outcomes for people: terminal, JSON, Markdown. Pure.

pub mod books;
pub mod chain;
pub mod scope;
pub mod status;
pub mod whole;
