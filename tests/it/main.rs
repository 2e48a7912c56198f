//! The one integration test binary.

mod cli;
mod crds;
mod odoo_parity;
mod odoo_records;
mod steps;
