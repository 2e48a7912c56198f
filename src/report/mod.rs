//! Outcomes for people: terminal, JSON, CSV. Pure.

pub mod chain;
pub mod scope;
pub mod status;
