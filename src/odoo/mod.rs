//! Odoo as the destination. The seam is at the wire ([`rpc::Rpc`]); everything above it exists once and serves the real
//! server and the one in memory alike.

mod bisect;
pub mod choose;
pub mod conflict;
pub mod content;
pub mod custom_models;
#[cfg(test)]
mod fake;
mod html;
pub mod http;
pub mod identity;
pub mod json2;
pub mod limits;
pub mod lines;
pub mod lock;
pub mod memory;
pub mod models;
mod patience;
pub mod remove;
pub mod rpc;
pub mod schema;
pub mod sweep;
pub mod upsert;
pub mod verify;
mod wire;
pub mod xmlrpc;
