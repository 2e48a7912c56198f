//! Tests of more than one module, in one binary.

mod odoo_parity;
