//! A home for a worker's steps without a cluster, in memory: for tests, and for the bench that shares this file.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use crmferry::{
    api::{MappingSpec, MappingSpecSpec, Migration, PhaseRunStatus},
    worker::home::{Home, HomeError, Published},
};

/// One Migration with one mapping, and what was reported last.
pub struct Room {
    migration: Migration,
    mapping: MappingSpecSpec,
    status: Mutex<PhaseRunStatus>,
}

impl Room {
    pub fn new(migration: Migration, mapping: MappingSpecSpec) -> Self {
        Self {
            migration,
            mapping,
            status: Mutex::default(),
        }
    }

    pub fn status(&self) -> PhaseRunStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Home for Room {
    async fn migration(&self) -> Result<Migration, HomeError> {
        Ok(self.migration.clone())
    }
    async fn mapping_spec(&self, name: &str) -> Result<Option<MappingSpec>, HomeError> {
        Ok(Some(MappingSpec::new(name, self.mapping.clone())))
    }
    async fn publish(&self, status: &PhaseRunStatus) -> Result<Published, HomeError> {
        status.clone_into(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Published::Accepted)
    }
}
