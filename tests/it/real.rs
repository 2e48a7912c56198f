//! The real Odoo at `ODOO_URL`, where there is one, over each of its APIs: JSON-2 with `ODOO_API_KEY`, XML-RPC with
//! `ODOO_LOGIN` beside it; `ODOO_DB` where needed.

use std::sync::Arc;

use crmferry::odoo::{
    http::{Secret, Server},
    json2::Json2,
    rpc::Rpc,
    xmlrpc::{Login, XmlRpc},
};

/// A real Odoo.
pub struct Real(Server);

/// The real Odoo, where there is one.
pub fn server() -> Option<Real> {
    let url = std::env::var("ODOO_URL").ok()?;
    // A second installation is refused, and that is fine: one process has one provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Some(Real(Server {
        insecure: true,
        ..Server::new(&url, &std::env::var("ODOO_DB").unwrap_or_default())
    }))
}

fn word(name: &str) -> Secret {
    Secret::new(&std::env::var(name).unwrap_or_else(|_| panic!("{name} goes with ODOO_URL")))
}

impl Real {
    /// Over JSON-2.
    pub fn json2(&self) -> Arc<dyn Rpc> {
        Arc::new(Json2::new(&self.0, &word("ODOO_API_KEY")).unwrap())
    }

    /// Over XML-RPC.
    pub fn xml_rpc(&self) -> Arc<dyn Rpc> {
        let login = Login {
            login: word("ODOO_LOGIN"),
            secret: word("ODOO_API_KEY"),
        };
        Arc::new(XmlRpc::new(&self.0, login).unwrap())
    }
}
