//! The one integration test binary.

mod crds;
mod odoo_parity;
mod odoo_records;
mod steps;
