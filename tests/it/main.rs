//! The one integration test binary.

mod crds;
//! Tests of more than one module, in one binary.

mod odoo_parity;
mod operator;
//! What needs more than one module, or a real part.
//! Tests of more than one module, in one binary.

mod odoo_parity;
mod odoo_records;
