//! Records, values, keys, digests. Pure.

pub mod content;
pub mod declared;
pub mod digest;
pub mod ids;
pub mod number;
pub mod record;
pub mod value;

pub use content::{Content, Fetched};
pub use declared::{DeclaredField, DeclaredType};
pub use digest::Digest;
pub use ids::{ExternalId, OdooModel, SourceKey};
pub use record::{Record, Rejection, Value};
pub use value::{Line, OdooValue, Reference};
