//! A set of ids on scratch disk: what was met already, without growing in memory.

use std::{collections::HashSet, io, path::Path};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::SourceError;

const TABLE: TableDefinition<&str, ()> = TableDefinition::new("seen");
/// Pages that redb keeps in memory.
const CACHE_BYTES: usize = 4 << 20;
/// Ids that are held back before they are written.
const HELD: usize = 4_096;

/// A set of ids; thrown away with its value.
pub struct Seen {
    db: Database,
    table: ReadOnlyTable<&'static str, ()>,
    held: HashSet<String>,
    _file: tempfile::NamedTempFile,
}

fn failed(error: impl std::fmt::Display) -> SourceError {
    SourceError::Io {
        place: "the set of ids on the scratch disk".into(),
        source: io::Error::other(error.to_string()),
    }
}

impl Seen {
    /// An empty set in a temporary file below `scratch`.
    ///
    /// # Errors
    /// When the scratch disk cannot be used, as everywhere here.
    pub fn create(scratch: &Path) -> Result<Self, SourceError> {
        let file = tempfile::NamedTempFile::new_in(scratch).map_err(failed)?;
        let db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(file.path())
            .map_err(failed)?;
        write(&db, HashSet::new())?;
        Ok(Self {
            table: read(&db)?,
            db,
            held: HashSet::new(),
            _file: file,
        })
    }

    /// Puts an id in; says whether it is new.
    ///
    /// # Errors
    /// As [`Seen::create`].
    pub fn insert(&mut self, id: &str) -> Result<bool, SourceError> {
        if self.held.contains(id) || self.table.get(id).map_err(failed)?.is_some() {
            return Ok(false);
        }
        self.held.insert(id.to_owned());
        if self.held.len() >= HELD {
            write(&self.db, std::mem::take(&mut self.held))?;
            self.table = read(&self.db)?;
        }
        Ok(true)
    }
}

fn write(db: &Database, ids: HashSet<String>) -> Result<(), SourceError> {
    let mut transaction = db.begin_write().map_err(failed)?;
    transaction.set_durability(Durability::None).map_err(failed)?;
    let mut table = transaction.open_table(TABLE).map_err(failed)?;
    for id in ids {
        table.insert(id.as_str(), ()).map_err(failed)?;
    }
    drop(table);
    transaction.commit().map_err(failed)
}

fn read(db: &Database) -> Result<ReadOnlyTable<&'static str, ()>, SourceError> {
    db.begin_read().map_err(failed)?.open_table(TABLE).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_whether_it_is_held_or_written() {
        let scratch = tempfile::tempdir().unwrap();
        let mut seen = Seen::create(scratch.path()).unwrap();
        for round in [true, false] {
            for id in 0..10_000 {
                assert_eq!(seen.insert(&id.to_string()).unwrap(), round, "{id}");
            }
        }
    }
}
