mod odoo_parity;
