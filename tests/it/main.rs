//! The one integration test binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod borders;
mod cli;
mod contents;
mod corner;
mod crds;
mod dedupe;
mod docs;

mod language;
mod lines;
mod odoo_companies;
mod odoo_domains;
mod odoo_edits;
mod odoo_effects;
mod odoo_lines;
mod odoo_lock;
mod odoo_parity;
mod odoo_records;
mod odoo_schema;
mod owners;
mod parents;
mod pipz;
mod pipz_runs;
mod platform;
mod policies;
mod real;
mod reports;
mod room;
mod steps;
