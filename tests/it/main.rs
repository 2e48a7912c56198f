//! The one integration test binary.

mod cli;
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod borders;
mod crds;
mod odoo_parity;
mod odoo_records;
mod steps;
