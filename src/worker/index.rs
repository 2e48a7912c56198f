//! An index on the pod's scratch disk: built at the start of a step, thrown away at its end. Memory stays flat.

use std::{collections::HashMap, path::Path};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use crate::workspace::lasts;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("index");
/// Pages that redb keeps in memory.
const CACHE_BYTES: usize = 16 << 20;
/// Entries that are held back before they are written.
const HELD: usize = 8_192;

/// What an entry is about: the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// External id name → id in Odoo, place in `ir.model.data`, noupdate.
    Identity = b'i',
    /// Source key → ledger entry.
    Ledger = b'l',
    /// Source key that was met in this pass.
    Seen = b's',
    /// Source key whose record was refused before it was mapped.
    Refused = b'r',
    /// External id name of a key that is in the source.
    Met = b'k',
    /// Source key whose record waits for one of its own object.
    Postponed = b'p',
    /// Source key whose record is held.
    Held = b'h',
    /// Every source key of the object, where it refers to itself.
    Own = b'o',
    /// (lookup, text) → source key or record.
    Lookup = b'f',
    /// (entry of dedupe, text) → source key of the first record.
    Dedupe = b'u',
    /// (join and text, place) → row.
    Join = b'j',
    /// (model and field, id in Odoo) → id of the record that the field names.
    Take = b'g',
    /// (entry of match, text) → candidates.
    Match = b'm',
    /// Id in Odoo that is taken.
    Taken = b't',
    /// Id in Odoo → values that were written.
    Wanted = b'w',
    /// Digest of a source record → how often.
    Digest = b'd',
    /// External id name that the ledger or this pass knows.
    Name = b'n',
    /// What names content → what became of it.
    Content = b'c',
    /// Something that was done already.
    Done = b'x',
}

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The scratch disk is broken.
    #[error("the scratch disk of the index cannot be used: {0}")]
    Disk(String),
    /// The scratch disk has no room, or is not ours to write.
    #[error("the scratch disk of the index cannot be written: {0}")]
    Full(std::io::Error),
    /// An entry cannot be kept, or is not what was kept: a defect of ours. It has values in it, so it is not quoted.
    #[error("an entry of the index ({0:?}) cannot be {1}")]
    Entry(Kind, &'static str),
}

impl IndexError {
    fn of(error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(error) if lasts(&error) => Self::Full(error),
            error => Self::Disk(error.to_string()),
        }
    }
}

/// Text and value of an entry.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Bytes to bytes, grouped by [`Kind`] and a scope within it.
pub struct Index {
    db: Database,
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    held: HashMap<Vec<u8>, Vec<u8>>,
    _file: tempfile::NamedTempFile,
}

/// An entry's value as bytes.
///
/// # Errors
/// When it has no JSON.
pub fn encode<T: serde::Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, IndexError> {
    serde_json::to_vec(value).map_err(|_| IndexError::Entry(kind, "kept"))
}

/// An entry's value from its bytes.
///
/// # Errors
/// When they are not what was kept.
pub fn decode<T: serde::de::DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(bytes).map_err(|_| IndexError::Entry(kind, "read"))
}

fn key(kind: Kind, scope: &str, text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + scope.len() + text.len());
    bytes.push(kind as u8);
    bytes.extend_from_slice(scope.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(text);
    bytes
}

impl Index {
    /// An empty index in a temporary file below `scratch`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(scratch: &Path) -> Result<Self, IndexError> {
        let file = tempfile::Builder::new()
            .prefix("index-")
            .tempfile_in(scratch)
            .map_err(IndexError::of)?;
        let mut builder = Database::builder();
        let db = builder
            .set_cache_size(CACHE_BYTES)
            .create(file.path())
            .map_err(IndexError::of)?;
        commit(&db, HashMap::new())?;
        let table = open(&db)?;
        Ok(Self {
            db,
            table,
            held: HashMap::new(),
            _file: file,
        })
    }

    /// Sets an entry.
    ///
    /// # Errors
    /// When the scratch disk cannot be written.
    pub fn put(&mut self, kind: Kind, scope: &str, text: &[u8], value: Vec<u8>) -> Result<(), IndexError> {
        self.held.insert(key(kind, scope, text), value);
        if self.held.len() >= HELD { self.flush() } else { Ok(()) }
    }

    /// Sets an entry unless there is one; says whether it did.
    ///
    /// # Errors
    /// When the scratch disk cannot be used.
    pub fn put_first(&mut self, kind: Kind, scope: &str, text: &[u8], value: Vec<u8>) -> Result<bool, IndexError> {
        if self.has(kind, scope, text)? {
            return Ok(false);
        }
        self.put(kind, scope, text, value)?;
        Ok(true)
    }

    /// Gets an entry's value.
    ///
    /// # Errors
    /// When the scratch disk cannot be read, or the entry is not what was kept.
    pub fn value<T: serde::de::DeserializeOwned>(
        &self,
        kind: Kind,
        scope: &str,
        text: &[u8],
    ) -> Result<Option<T>, IndexError> {
        let bytes = self.get(kind, scope, text)?;
        bytes.map(|bytes| decode(kind, &bytes)).transpose()
    }

    /// Gets an entry.
    ///
    /// # Errors
    /// When the scratch disk cannot be read.
    pub fn get(&self, kind: Kind, scope: &str, text: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let key = key(kind, scope, text);
        if let Some(value) = self.held.get(&key) {
            return Ok(Some(value.clone()));
        }
        let found = self.table.get(key.as_slice()).map_err(IndexError::of)?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    /// Whether there is an entry.
    ///
    /// # Errors
    /// When the scratch disk cannot be read.
    pub fn has(&self, kind: Kind, scope: &str, text: &[u8]) -> Result<bool, IndexError> {
        let key = key(kind, scope, text);
        Ok(self.held.contains_key(&key) || self.table.get(key.as_slice()).map_err(IndexError::of)?.is_some())
    }

    /// Up to `limit` entries of a kind and scope whose text is greater than `after`, in the order of their bytes.
    ///
    /// # Errors
    /// When the scratch disk cannot be used.
    pub fn page(
        &mut self,
        kind: Kind,
        scope: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        self.flush()?;
        let head = key(kind, scope, b"");
        let mut from = head.clone();
        if let Some(after) = after {
            from.extend_from_slice(after);
            from.push(0); // the next greater text
        }
        let range = self.table.range(from.as_slice()..).map_err(IndexError::of)?;
        let mut page = Vec::new();
        for entry in range.take(limit) {
            let (k, v) = entry.map_err(IndexError::of)?;
            let Some(text) = k.value().strip_prefix(head.as_slice()) else {
                break;
            };
            page.push((text.to_vec(), v.value().to_vec()));
        }
        Ok(page)
    }

    /// The first entries of a kind and scope in the order of their bytes, of those that [`Index::flush`] wrote.
    ///
    /// # Errors
    /// When the scratch disk cannot be read.
    pub fn first(&self, kind: Kind, scope: &str, limit: usize) -> Result<Vec<Vec<u8>>, IndexError> {
        let head = key(kind, scope, b"");
        let range = self.table.range(head.as_slice()..).map_err(IndexError::of)?;
        let mut found = Vec::new();
        for entry in range.take(limit) {
            let (k, v) = entry.map_err(IndexError::of)?;
            if !k.value().starts_with(&head) {
                break;
            }
            found.push(v.value().to_vec());
        }
        Ok(found)
    }

    /// How many entries a kind and scope has.
    ///
    /// # Errors
    /// When the scratch disk cannot be used.
    pub fn count(&mut self, kind: Kind, scope: &str) -> Result<usize, IndexError> {
        self.flush()?;
        let head = key(kind, scope, b"");
        let range = self.table.range(head.as_slice()..).map_err(IndexError::of)?;
        let mut count = 0;
        for entry in range {
            let (k, _) = entry.map_err(IndexError::of)?;
            if !k.value().starts_with(&head) {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Writes what is held back.
    ///
    /// # Errors
    /// When the scratch disk cannot be written.
    pub fn flush(&mut self) -> Result<(), IndexError> {
        if self.held.is_empty() {
            return Ok(());
        }
        commit(&self.db, std::mem::take(&mut self.held))?;
        self.table = open(&self.db)?;
        Ok(())
    }
}

fn commit(db: &Database, held: HashMap<Vec<u8>, Vec<u8>>) -> Result<(), IndexError> {
    let mut entries: Vec<_> = held.into_iter().collect();
    entries.sort_unstable();
    let mut transaction = db.begin_write().map_err(IndexError::of)?;
    transaction.set_durability(Durability::None).map_err(IndexError::of)?;
    {
        let mut table = transaction.open_table(TABLE).map_err(IndexError::of)?;
        for (key, value) in &entries {
            table.insert(key.as_slice(), value.as_slice()).map_err(IndexError::of)?;
        }
    }
    transaction.commit().map_err(IndexError::of)
}

fn open(db: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, IndexError> {
    let transaction = db.begin_read().map_err(IndexError::of)?;
    transaction.open_table(TABLE).map_err(IndexError::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_json_and_what_is_no_json_is_an_error_and_never_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let mut index = Index::create(scratch.path()).unwrap();
        let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(matches!(
            encode(Kind::Wanted, &odd),
            Err(IndexError::Entry(Kind::Wanted, "kept"))
        ));
        index
            .put(Kind::Wanted, "a", b"1", b"{\"name\": \"Anna\"".to_vec())
            .unwrap();
        let broken = index.value::<Vec<i64>>(Kind::Wanted, "a", b"1").unwrap_err();
        assert_eq!(broken.to_string(), "an entry of the index (Wanted) cannot be read");
        assert_eq!(index.value::<Vec<i64>>(Kind::Wanted, "a", b"2").unwrap(), None);
    }

    #[test]
    fn entries_are_found_held_back_or_written_and_paged_in_order() {
        let scratch = tempfile::tempdir().unwrap();
        let mut index = Index::create(scratch.path()).unwrap();
        for id in (0..20_000_u32).rev() {
            index.put(Kind::Wanted, "a", &id.to_be_bytes(), vec![1]).unwrap();
        }
        index.put(Kind::Wanted, "ab", b"other", vec![2]).unwrap();
        assert!(index.has(Kind::Wanted, "a", &7_u32.to_be_bytes()).unwrap());
        assert!(!index.has(Kind::Wanted, "b", &7_u32.to_be_bytes()).unwrap());
        assert_eq!(index.count(Kind::Wanted, "a").unwrap(), 20_000);
        let mut after: Option<Vec<u8>> = None;
        let mut met = Vec::new();
        loop {
            let page = index.page(Kind::Wanted, "a", after.as_deref(), 3_000).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.0.clone());
            met.extend(
                page.into_iter()
                    .map(|(text, _)| u32::from_be_bytes(text.try_into().unwrap())),
            );
        }
        assert_eq!(met, (0..20_000).collect::<Vec<_>>());
        assert!(!index.put_first(Kind::Wanted, "ab", b"other", vec![3]).unwrap());
        assert_eq!(index.get(Kind::Wanted, "ab", b"other").unwrap(), Some(vec![2]));
    }
}
