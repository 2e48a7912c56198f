//! What needs more than one module, or a real part.

mod odoo_parity;
mod odoo_records;
