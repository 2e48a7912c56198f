//! Crmferry moves a company's CRM into Odoo without losing a record.
//!
//! The map (details and invariants in `docs/architecture.md`):
//! - [`api`]: the resource types. [`model`]: records, keys, digests.
//! - [`mapping`]: the language, pure. [`lifecycle`]: what comes next, pure. [`report`]: outcomes for people, pure.
//! - [`source`], [`odoo`], [`workspace`]: the three edges; [`http`]: what clients share. [`worker`]: the steps, where they meet.
//! - [`operator`]: the same steps as Jobs on a cluster. [`cli`]: the same life on a laptop, and the plugin.
//!
//! Start at [`lifecycle`]: `next` decides everything that happens, and both executors only carry it out.

pub mod api;
pub mod chain;
pub mod cli;
pub mod http;
pub mod lifecycle;
pub mod mapping;
pub mod model;
pub mod odoo;
pub mod operator;
pub mod report;
pub mod source;
pub mod worker;
pub mod workspace;
