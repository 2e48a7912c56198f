//! What Jobs do, one file per step. The only place where source, mapping and Odoo meet.
