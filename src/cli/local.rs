//! A laptop's folder in place of a cluster: status, PhaseRuns, evidence and approvals as files.
//!
//! | path | what |
//! |---|---|
//! | `migration.json` | whose folder it is ([`Identity`]) |
//! | `status.json` | the Migration's status; edited by hand, it is refused |
//! | `evidence/status.sha256` | the digest of the status, and of the one before |
//! | `phaseruns/<name>.json` | PhaseRuns, as the API server would show them |
//! | `evidence/<gate>-<n>.json` | sealed evidence, byte for byte |
//! | `approvals/<gate>-<n>.json` | who approved it ([`Approval`]) |
//! | `odoo.json.zst` | the Odoo in memory |
//! | `report.md`, `report.json` | the report |
//!
//! Everything else in it is the worker's ([`crate::workspace`]).

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Notify;

use super::error::Error;
use crate::{
    api::{
        CLOSED, MappingSpec, Migration, MigrationSpec, MigrationStatus, PhaseRun, PhaseRunSpec, PhaseRunStatus,
        migration::Gate,
    },
    model::Digest,
    odoo::memory::Memory,
    worker::home::{Home, HomeError, Published},
};

const STATUS: &str = "status.json";
const SEAL: &str = "evidence/status.sha256";

/// Whose folder it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Made once.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Counts changes of the spec.
    pub generation: i64,
    /// The spec as it was last seen.
    pub spec: MigrationSpec,
    /// Where records go: `memory` or `odoo`. A ledger speaks of one Odoo.
    pub destination: String,
    /// When exports were last copied here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Timestamp>,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Digest of the evidence.
    pub digest: String,
    /// The operating system's user.
    pub user: String,
    /// When.
    pub at: Timestamp,
    /// `--approve` or `terminal`.
    pub way: String,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at a path.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where something in it lies.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The bytes of a file; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bytes(&self, relative: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(relative);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    fn json<T: DeserializeOwned>(&self, relative: &str) -> Result<Option<T>, Error> {
        let Some(bytes) = self.bytes(relative)? else {
            return Ok(None);
        };
        let damaged = |error| Error::Damaged {
            path: self.path(relative),
            source: Box::new(error),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Puts a file whole: written beside, synced, renamed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, relative: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(relative);
        put(&path, bytes).map_err(Error::io("write", path))
    }

    fn put_json<T: Serialize>(&self, relative: &str, value: &T) -> Result<(), Error> {
        self.put(relative, &pretty(value))
    }

    /// Whose folder it is; `None` for a new one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        self.json("migration.json")
    }

    /// Says whose folder it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_identity(&self, identity: &Identity) -> Result<(), Error> {
        self.put_json("migration.json", identity)
    }

    /// The Migration's status.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written: where a run stands and which gates it has passed is in it.
    pub fn status(&self) -> Result<Option<MigrationStatus>, Error> {
        let Some(status) = self.json(STATUS)? else {
            return Ok(None);
        };
        let bytes = self.bytes(STATUS)?.unwrap_or_default();
        if self.is_sealed(&bytes)? {
            return Ok(Some(status));
        }
        Err(Error::Edited {
            path: self.path(STATUS),
        })
    }

    /// Keeps the Migration's status.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_status(&self, status: &MigrationStatus) -> Result<(), Error> {
        let json = pretty(status);
        let mut seal = Digest::of(&json).to_string();
        let before = self.bytes(STATUS)?;
        // cut off between the two files, the status before is still one that was written
        if let Some(before) = before.filter(|before| self.is_sealed(before).is_ok_and(|sealed| sealed)) {
            seal.extend(["\n", Digest::of(&before).as_str()]);
        }
        self.put(SEAL, seal.as_bytes())?;
        self.put(STATUS, &json)
    }

    fn is_sealed(&self, status: &[u8]) -> Result<bool, Error> {
        let seal = self.bytes(SEAL)?.unwrap_or_default();
        let digest = Digest::of(status);
        Ok(String::from_utf8_lossy(&seal)
            .lines()
            .any(|line| line == digest.as_str()))
    }

    /// A PhaseRun.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn phase_run(&self, name: &str) -> Result<Option<PhaseRun>, Error> {
        self.json(&phase_run_path(name))
    }

    /// Keeps a PhaseRun.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_phase_run(&self, phase_run: &PhaseRun) -> Result<(), Error> {
        self.put_json(
            &phase_run_path(phase_run.metadata.name.as_deref().unwrap_or_default()),
            phase_run,
        )
    }

    /// Every PhaseRun that is kept.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn phase_runs(&self) -> Result<Vec<PhaseRun>, Error> {
        let folder = self.path("phaseruns");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &folder))?,
        };
        let mut phase_runs = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("read", &folder))?.file_name();
            // what is being put has no such name yet
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            phase_runs.extend(name.map(|name| self.phase_run(name)).transpose()?.flatten());
        }
        Ok(phase_runs)
    }

    /// Forgets a PhaseRun.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn drop_phase_run(&self, name: &str) -> Result<(), Error> {
        let path = self.path(phase_run_path(name));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Keeps sealed evidence. `false`: there is other evidence of that name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn seal(&self, gate: &str, number: &str, json: &str) -> Result<bool, Error> {
        let path = evidence_path(gate, number);
        match self.bytes(&path)? {
            Some(found) => Ok(found == json.as_bytes()),
            None => self.put(&path, json.as_bytes()).map(|()| true),
        }
    }

    /// The evidence of a gate, byte for byte as it lies there now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn evidence(&self, gate: &Gate) -> Result<Option<Vec<u8>>, Error> {
        self.bytes(&evidence_path(&gate.name, &gate.sealed.to_string()))
    }

    /// The uid in evidence that is still what a status names: whose folder it is, where `migration.json` is gone. Before a
    /// gate there is none, and before a gate nothing was written to Odoo.
    ///
    /// # Errors
    /// When evidence cannot be read.
    pub fn sealed_uid(&self, status: &MigrationStatus) -> Result<Option<String>, Error> {
        for gate in &status.gates {
            let found = self.evidence(gate)?.unwrap_or_default();
            if Digest::of(&found).as_str() == gate.evidence_digest {
                let evidence: serde_json::Value = serde_json::from_slice(&found).unwrap_or_default();
                return Ok(evidence["migration"]["uid"].as_str().map(Into::into));
            }
        }
        Ok(None)
    }

    /// The approval of a gate's evidence.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn approval(&self, gate: &Gate) -> Result<Option<Approval>, Error> {
        self.json(&approval_path(gate))
    }

    /// Keeps an approval.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn approve(&self, gate: &Gate, approval: &Approval) -> Result<(), Error> {
        self.put_json(&approval_path(gate), approval)
    }
}

fn pretty<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("what a folder keeps is plain data")
}

/// Where evidence lies.
#[must_use]
pub fn evidence_path(gate: &str, number: &str) -> String {
    format!("evidence/{gate}-{number}.json")
}

fn approval_path(gate: &Gate) -> String {
    format!("approvals/{}-{}.json", gate.name, gate.sealed)
}

fn phase_run_path(name: &str) -> String {
    format!("phaseruns/{name}.json")
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// The Odoo in memory as it was kept; a fresh one where there is none.
///
/// # Errors
/// When it cannot be read.
pub fn memory(folder: &Folder) -> Result<(Memory, bool), Error> {
    let Some(bytes) = folder.bytes(MEMORY)? else {
        return Ok((Memory::new(), true));
    };
    let damaged = |error| Error::Damaged {
        path: folder.path(MEMORY),
        source: Box::new(error),
    };
    Memory::load(&bytes).map(|memory| (memory, false)).map_err(damaged)
}

/// File of the Odoo in memory.
pub const MEMORY: &str = "odoo.json.zst";

/// Where the attempts of this process live.
pub struct LocalHome {
    /// The folder.
    pub folder: Folder,
    /// The Migration as it is now, with approvals and requests as annotations.
    pub migration: Arc<Mutex<Migration>>,
    /// Every MappingSpec of the manifests.
    pub mappings: Arc<Vec<MappingSpec>>,
    /// Name of the PhaseRun.
    pub name: String,
    /// Its spec.
    pub spec: PhaseRunSpec,
    /// The Odoo in memory, where records go there.
    pub memory: Option<Arc<Memory>>,
    /// Set once the attempt is superseded.
    pub closed: Arc<AtomicBool>,
    /// Told of every report.
    pub news: Arc<Notify>,
}

#[async_trait]
impl Home for LocalHome {
    async fn migration(&self) -> Result<Migration, HomeError> {
        // a Migration is put whole: a poisoned lock is as good as any
        Ok(self.migration.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn mapping_spec(&self, name: &str) -> Result<Option<MappingSpec>, HomeError> {
        Ok(self
            .mappings
            .iter()
            .find(|spec| spec.metadata.name.as_deref() == Some(name))
            .cloned())
    }

    fn is_laptop(&self) -> bool {
        true
    }

    async fn publish(&self, status: &PhaseRunStatus) -> Result<Published, HomeError> {
        if self.closed.load(Ordering::Acquire) {
            return Ok(Published::Closed);
        }
        // the last report stands for what is in Odoo: that has to be on disk before it
        if let Some(memory) = self.memory.clone().filter(|_| status.outcome.is_some()) {
            let folder = self.folder.clone();
            let saving = tokio::task::spawn_blocking(move || folder.put(MEMORY, &memory.save()));
            saving
                .await
                .map_err(io::Error::other)
                .map_err(unwritten)?
                .map_err(|e| unwritten(io::Error::other(e)))?;
        }
        let phase_run = phase_run(&self.name, self.spec.clone(), Some(status.clone()), false);
        self.folder
            .put_phase_run(&phase_run)
            .map_err(|error| unwritten(io::Error::other(error)))?;
        self.news.notify_one();
        Ok(Published::Accepted)
    }
}

fn unwritten(source: io::Error) -> HomeError {
    HomeError::Folder {
        action: "keep the report".into(),
        source,
    }
}

/// A PhaseRun as the API server would show it.
#[must_use]
pub fn phase_run(name: &str, spec: PhaseRunSpec, status: Option<PhaseRunStatus>, closed: bool) -> PhaseRun {
    let mut phase_run = PhaseRun::new(name, spec);
    phase_run.status = status;
    if closed {
        phase_run.metadata.annotations = Some([(CLOSED.to_owned(), "true".to_owned())].into());
    }
    phase_run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::migration::GateState;

    fn gate(digest: &str) -> Gate {
        Gate {
            name: "mapping".into(),
            state: GateState::Waiting,
            evidence_digest: digest.into(),
            evidence: "acme-evidence-mapping-1".into(),
            sealed: 1,
            since: None,
            approved_by: None,
            message: None,
            void: None,
            basis: String::new(),
            round: 0,
        }
    }

    #[test]
    fn evidence_is_kept_byte_for_byte_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert!(folder.seal("mapping", "1", "{}").unwrap());
        assert!(folder.seal("mapping", "1", "{}").unwrap());
        assert!(!folder.seal("mapping", "1", "{\"a\":1}").unwrap());
        let sealed = gate(Digest::of(b"{}").as_str());
        assert_eq!(folder.evidence(&sealed).unwrap().as_deref(), Some(b"{}".as_slice()));
    }

    #[test]
    fn whose_folder_it_is_can_be_read_from_sealed_evidence_and_from_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let json = r#"{"migration":{"uid":"u1"}}"#;
        let status = |digest: &str| MigrationStatus {
            gates: vec![gate(digest)],
            ..MigrationStatus::default()
        };
        let sealed = status(Digest::of(json.as_bytes()).as_str());
        assert_eq!(folder.sealed_uid(&sealed).unwrap(), None);
        folder.seal("mapping", "1", json).unwrap();
        assert_eq!(folder.sealed_uid(&sealed).unwrap().as_deref(), Some("u1"));
        assert_eq!(folder.sealed_uid(&status(Digest::of(b"x").as_str())).unwrap(), None);
    }

    #[test]
    fn evidence_is_read_as_it_lies_there_whatever_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let gate = gate(Digest::of(b"{}").as_str());
        assert_eq!(folder.evidence(&gate).unwrap(), None);
        folder.seal("mapping", "1", "{}").unwrap();
        fs::write(folder.path("evidence/mapping-1.json"), "{ }").unwrap();
        assert_eq!(folder.evidence(&gate).unwrap().as_deref(), Some(b"{ }".as_slice()));
    }

    #[test]
    fn a_status_that_was_edited_is_refused_and_one_that_was_cut_off_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let waiting = MigrationStatus {
            phase: crate::api::Phase::AwaitingMapping,
            ..MigrationStatus::default()
        };
        folder.put_status(&waiting).unwrap();
        let written = fs::read_to_string(folder.path(STATUS)).unwrap();
        fs::write(
            folder.path(STATUS),
            written.replace("AwaitingMapping", "PreparingSchema"),
        )
        .unwrap();
        let refused = folder.status().unwrap_err().to_string();
        assert!(refused.contains("status.json is not what was written"), "{refused}");

        fs::write(folder.path(STATUS), &written).unwrap();
        folder.put_status(&MigrationStatus::default()).unwrap();
        assert_eq!(folder.status().unwrap(), Some(MigrationStatus::default()));
        // the seal was written, the status was not
        fs::write(folder.path(STATUS), &written).unwrap();
        assert_eq!(folder.status().unwrap(), Some(waiting));
        fs::remove_file(folder.path(SEAL)).unwrap();
        assert!(folder.status().is_err());
    }

    #[test]
    fn a_file_that_is_not_there_is_none_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert_eq!(folder.status().unwrap(), None);
        fs::write(folder.path("status.json"), "{").unwrap();
        assert!(
            folder
                .status()
                .unwrap_err()
                .to_string()
                .contains("status.json is damaged")
        );
    }
}
