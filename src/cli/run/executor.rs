//! Carries out on a laptop what [`lifecycle::next`] decides, as the operator does on a cluster: observe, decide, seal,
//! write the status, carry out.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::show::Show;
use crate::{
    api::{
        APPROVAL_PREFIX, CLOSED, MappingSpec, Migration, MigrationStatus, PUSHED, PhaseRun, PhaseRunSpec, REQUEST,
        migration::{Gate, Mode, Window},
        phase_run::Step,
    },
    cli::{
        error::Error,
        local::{self, Folder, Identity, LocalHome},
        report,
    },
    lifecycle::{
        self, AttemptSeen, Effect, EvidenceSeen, Exit, JobSeen, MappingSeen, Next, Observed, PhaseRunSeen,
        attempt::{Judged, judge},
        names,
    },
    model::Digest,
    odoo::memory::Memory,
    source::Apis,
    worker::{self, Start, destination::Door},
    workspace::Workspace,
};

/// PhaseRuns that are kept of each step and object.
const KEPT: usize = 3;

/// Everything that stays the same over the passes.
pub struct Setup {
    /// The workspace's folder.
    pub folder: Folder,
    /// The same, as workers see it.
    pub workspace: Workspace,
    /// Whose it is.
    pub identity: Identity,
    /// Every MappingSpec of the manifests.
    pub mappings: Arc<Vec<MappingSpec>>,
    /// The Migration's, as `next` sees it.
    pub mapping: MappingSeen,
    /// The way to Odoo.
    pub door: Door,
    /// The way to the source's API.
    pub apis: Apis,
    /// The Odoo in memory, where records go there.
    pub memory: Option<Arc<Memory>>,
    /// What is asked for.
    pub request: Option<String>,
    /// What the lock in Odoo calls this machine: user and host.
    pub place: String,
}

/// An attempt of this process.
struct Running {
    name: String,
    stop: CancellationToken,
    closed: Arc<AtomicBool>,
    task: JoinHandle<Exit>,
    since: Instant,
    ended: Option<(Exit, Duration)>,
}

/// Carries out passes.
pub struct Executor {
    setup: Setup,
    migration: Arc<Mutex<Migration>>,
    running: Option<Running>,
    news: Arc<Notify>,
    suspended: bool,
}

impl Executor {
    /// Takes a folder as it is.
    ///
    /// # Errors
    /// When its status cannot be read.
    pub fn new(setup: Setup) -> Result<Self, Error> {
        let status = setup.folder.status()?;
        let migration = report::migration(&setup.identity, status, BTreeMap::new());
        Ok(Self {
            setup,
            migration: Arc::new(Mutex::new(migration)),
            running: None,
            news: Arc::default(),
            suspended: false,
        })
    }

    /// The status as it is now.
    #[must_use]
    pub fn status(&self) -> MigrationStatus {
        self.lock().status.clone().unwrap_or_default()
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.setup.folder
    }

    /// Whether an attempt of this process is at work.
    #[must_use]
    pub fn at_work(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.ended.is_none())
    }

    /// Ends the attempt and keeps the place, as `suspend` does.
    pub fn suspend(&mut self) {
        self.suspended = true;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Migration> {
        // a Migration is put whole: a poisoned lock is as good as any
        self.migration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One pass: what was decided and carried out.
    ///
    /// # Errors
    /// When the folder fails.
    pub fn pass(&mut self, show: &mut Show) -> Result<Next, Error> {
        let mut observed = self.observe()?;
        let next = loop {
            let next = lifecycle::next(&observed, Timestamp::now());
            match self.seal(&next.effects)? {
                None => break next,
                Some(taken) => observed.taken.push(taken),
            }
        };
        self.show_ending(&observed, show);
        if observed.migration.status.as_ref() != Some(&next.status) {
            self.setup.folder.put_status(&next.status)?;
        }
        observed.migration.status = Some(next.status.clone());
        *self.lock() = observed.migration;
        for effect in &next.effects {
            self.carry_out(effect, show)?;
        }
        Ok(next)
    }

    /// Shows how the attempt ended, once: the next pass sees it as ended, or another in its place.
    fn show_ending(&self, observed: &Observed, show: &mut Show) {
        let attempt = observed
            .migration
            .status
            .as_ref()
            .and_then(|status| status.attempt.as_ref());
        let Some(attempt) = attempt.filter(|attempt| attempt.ended.is_none()) else {
            return;
        };
        if let Judged::Over(ending) = judge(attempt, &observed.attempt, Timestamp::now()) {
            let report = observed
                .attempt
                .phase_run
                .as_ref()
                .map(|run| run.status.clone())
                .unwrap_or_default();
            let running = self.running.as_ref().filter(|running| running.name == attempt.name);
            show.ended(
                attempt,
                &ending,
                &report,
                running.and_then(|running| running.ended).map(|(_, took)| took),
            );
        }
    }

    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.lock().spec.mode == Mode::DryRun
    }

    fn observe(&self) -> Result<Observed, Error> {
        let status = self.lock().status.clone();
        let mut migration = report::migration(&self.setup.identity, status, self.annotations()?);
        migration.spec.suspend |= self.suspended;
        Ok(Observed {
            mapping: self.setup.mapping.clone(),
            attempt: self.attempt(&migration)?,
            guarded: None,
            evidence: self.evidence()?,
            worker_image: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            laptop: true,
            taken: Vec::new(),
            migration,
        })
    }

    /// What the open gate stands on, read again.
    fn evidence(&self) -> Result<Option<EvidenceSeen>, Error> {
        let gates = self.status().gates;
        let Some(gate) = lifecycle::gate::open(&gates) else {
            return Ok(None);
        };
        let found = self.setup.folder.evidence(gate)?;
        Ok(Some(EvidenceSeen {
            name: gate.evidence.clone(),
            digest: found.map(|bytes| Digest::of(&bytes).to_string()),
            sealed: true,
        }))
    }

    /// Approvals, exports and requests as a cluster would tell of them.
    fn annotations(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut annotations = BTreeMap::new();
        for gate in &self.status().gates {
            if let Some(approval) = self.setup.folder.approval(gate)? {
                let text = format!("{} by {}", approval.digest, approval.user);
                annotations.insert(format!("{APPROVAL_PREFIX}{}", gate.name), text);
            }
        }
        let Setup { identity, request, .. } = &self.setup;
        annotations.extend(identity.pushed.map(|at| (PUSHED.to_owned(), at.to_string())));
        annotations.extend(request.clone().map(|request| (REQUEST.to_owned(), request)));
        Ok(annotations)
    }

    fn attempt(&self, migration: &Migration) -> Result<AttemptSeen, Error> {
        let Some(attempt) = migration.status.as_ref().and_then(|status| status.attempt.as_ref()) else {
            return Ok(AttemptSeen::default());
        };
        let running = self.running.as_ref().filter(|running| running.name == attempt.name);
        let job = match running.map(|running| running.ended) {
            None => JobSeen::Absent,
            Some(None) => JobSeen::Running,
            Some(Some((Exit::Done, _))) => JobSeen::Complete,
            Some(Some((exit, _))) => JobSeen::Failed(Some(exit.code().into())),
        };
        let phase_run = self.setup.folder.phase_run(&attempt.name)?.map(|run| PhaseRunSeen {
            closed: is_closed(&run),
            status: run.status.unwrap_or_default(),
        });
        Ok(AttemptSeen {
            phase_run,
            job,
            troubles: Vec::new(),
        })
    }

    /// Stores evidence; the name of what is there already with other content.
    fn seal(&self, effects: &[Effect]) -> Result<Option<String>, Error> {
        for effect in effects {
            let Effect::Seal { gate, name, json } = effect else {
                continue;
            };
            let number = name.rsplit('-').next().unwrap_or_default();
            if !self.setup.folder.seal(gate, number, json)? {
                return Ok(Some(names::evidence_name(
                    &self.setup.identity.name,
                    gate,
                    number.parse().unwrap_or(1),
                )));
            }
        }
        Ok(None)
    }

    fn carry_out(&mut self, effect: &Effect, show: &mut Show) -> Result<(), Error> {
        match effect {
            Effect::Seal { .. } => Ok(()),
            Effect::Start { name, spec } => self.start(name, spec),
            Effect::Stop { name, close } => self.stop(name, *close),
            Effect::Announce { warning, reason, note } => {
                // how an attempt ended is shown already
                if *warning && !matches!(reason.as_str(), "AttemptFailed" | "Stalled") {
                    show.warn(note);
                }
                Ok(())
            }
            Effect::Prune => self.prune(),
        }
    }

    fn start(&mut self, name: &str, spec: &PhaseRunSpec) -> Result<(), Error> {
        if self.running.as_ref().is_some_and(|running| running.name == name) {
            return Ok(());
        }
        if self.setup.folder.phase_run(name)?.is_none() {
            self.setup
                .folder
                .put_phase_run(&local::phase_run(name, spec.clone(), None, false))?;
        }
        let (stop, closed) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let home = LocalHome {
            folder: self.setup.folder.clone(),
            migration: self.migration.clone(),
            mappings: self.setup.mappings.clone(),
            name: name.to_owned(),
            spec: spec.clone(),
            memory: self.setup.memory.clone(),
            closed: closed.clone(),
            news: self.news.clone(),
        };
        let work = worker::run(Start {
            home: Arc::new(home),
            name: name.to_owned(),
            spec: spec.clone(),
            workspace: self.setup.workspace.clone(),
            door: self.setup.door.clone(),
            apis: self.setup.apis.clone(),
            scratch: fresh_scratch(&self.setup.folder)?,
            stop: stop.clone(),
            now: Timestamp::now,
            place: self.setup.place.clone(),
        });
        self.running = Some(Running {
            name: name.to_owned(),
            stop,
            closed,
            task: tokio::spawn(work),
            since: Instant::now(),
            ended: None,
        });
        Ok(())
    }

    fn stop(&mut self, name: &str, close: bool) -> Result<(), Error> {
        if let Some(running) = self.running.as_ref().filter(|running| running.name == name) {
            running.closed.fetch_or(close, Ordering::AcqRel);
            running.stop.cancel();
        }
        let found = if close {
            self.setup.folder.phase_run(name)?
        } else {
            None
        };
        let Some(run) = found.filter(|run| !is_closed(run)) else {
            return Ok(());
        };
        self.setup
            .folder
            .put_phase_run(&local::phase_run(name, run.spec, run.status, true))
    }

    fn prune(&self) -> Result<(), Error> {
        let mut runs = self.setup.folder.phase_runs()?;
        runs.sort_by_key(|run| std::cmp::Reverse((run.spec.run, run.spec.attempt)));
        for name in surplus(&runs, &self.status()) {
            self.setup.folder.drop_phase_run(&name)?;
        }
        Ok(())
    }

    /// Waits until the attempt ends, reports, or the time is over.
    pub async fn wait(&mut self, at_most: Option<Duration>) {
        let timer = async {
            match at_most {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let news = self.news.clone();
        match self.running.as_mut().filter(|running| running.ended.is_none()) {
            None => timer.await,
            Some(running) => tokio::select! {
                ended = &mut running.task => {
                    // a panic is a defect of ours, and worth another attempt
                    running.ended = Some((ended.unwrap_or(Exit::Retry), running.since.elapsed()));
                }
                () = news.notified() => {}
                () = timer => {}
            },
        }
    }

    /// Shows how far the attempt is.
    ///
    /// # Errors
    /// When its PhaseRun cannot be read.
    pub fn show_progress(&self, show: &mut Show) -> Result<(), Error> {
        let status = self.status();
        if let Some(attempt) = status.attempt.filter(|_| self.at_work()) {
            let report = self.setup.folder.phase_run(&attempt.name)?.and_then(|run| run.status);
            show.progress(&attempt, &report.unwrap_or_default().progress);
        }
        Ok(())
    }

    /// What was asked for.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.setup.request.as_deref()
    }

    /// The window of the cutover.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.setup.identity.spec.cutover.window.clone()
    }

    /// A gate, by its name.
    #[must_use]
    pub fn gate(&self, name: &str) -> Option<Gate> {
        self.status().gates.into_iter().find(|gate| gate.name == name)
    }
}

fn is_closed(run: &PhaseRun) -> bool {
    run.metadata
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(CLOSED))
}

/// Names of PhaseRuns beyond the last three of each step and object; `runs`: newest first. Those that counted an object
/// last are kept, for the report.
fn surplus(runs: &[PhaseRun], status: &MigrationStatus) -> Vec<String> {
    let mut kept: BTreeMap<(Step, Option<&str>), usize> = BTreeMap::new();
    let mut surplus = Vec::new();
    for run in runs {
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let count = kept.entry((run.spec.phase, run.spec.object.as_deref())).or_default();
        *count += 1;
        if *count > KEPT && !status.objects.iter().any(|object| object.phase_run == name) {
            surplus.push(name.to_owned());
        }
    }
    surplus
}

/// An empty folder for what is thrown away.
fn fresh_scratch(folder: &Folder) -> Result<PathBuf, Error> {
    let path = folder.path(".scratch");
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("empty", path)(error)),
        _ => {}
    }
    std::fs::create_dir_all(&path).map_err(Error::io("make", &path))?;
    Ok(path)
}
