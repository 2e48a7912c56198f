//! Single stories: what the table promises, one sentence each.

mod books;
mod cutover;
mod gates;
mod requests;
mod waits;

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::Time, util::intstr::IntOrString};

use super::*;
use crate::{
    api::{PUSHED, PhaseRunSpec, REQUEST},
    lifecycle::{Effect, EvidenceSeen, JobSeen, Trouble, next},
};

/// A Migration that is looked at again and again.
struct Story {
    observed: Observed,
    effects: Vec<Effect>,
    /// What is found in place of the evidence, where it is not what was sealed.
    finds: Option<EvidenceSeen>,
}

impl Story {
    fn of(migration: Migration, status: MigrationStatus) -> Self {
        let mut observed = observed(migration);
        observed.migration.status = Some(status);
        Self {
            observed,
            effects: vec![],
            finds: None,
        }
    }

    fn in_phase(phase: Phase) -> Self {
        Self::of(a_migration(), status_in(phase))
    }

    /// Waits for the gate of its phase, with good evidence.
    fn at_gate(phase: Phase) -> (Self, String) {
        let mut story = Self::in_phase(phase);
        if phase == Phase::Synchronising {
            story.status_mut().round = Some(Round {
                number: 1,
                ended: Time(at(0)),
                changed: 0,
                gone: 0,
            });
            story.status_mut().attempt = Some(done(attempt(Step::Delta, None, 5)));
        }
        let gate = if phase == Phase::AwaitingMapping {
            "mapping"
        } else {
            "cutover"
        };
        let migration = story.observed.migration.clone();
        let digest = with_gate(&migration, story.status_mut(), gate, GateState::Waiting);
        (story, digest)
    }

    fn status(&self) -> &MigrationStatus {
        self.observed.migration.status.as_ref().unwrap()
    }

    fn status_mut(&mut self) -> &mut MigrationStatus {
        self.observed.migration.status.as_mut().unwrap()
    }

    fn sees(&mut self, job: JobSeen, report: Option<PhaseRunStatus>) -> &mut Self {
        self.observed.attempt = AttemptSeen {
            phase_run: report.map(reported),
            job,
            troubles: vec![],
        };
        self
    }

    /// One pass; the status is written.
    fn pass(&mut self, second: i64) -> &MigrationStatus {
        self.observed.evidence = self.finds.clone().or_else(|| whole(self.status()));
        let decided = next(&self.observed, at(second));
        let name = |status: &MigrationStatus| status.attempt.as_ref().map(|attempt| attempt.name.clone());
        if name(&decided.status) != name(self.status()) {
            self.observed.attempt = AttemptSeen::default();
        }
        *self.status_mut() = decided.status;
        self.effects = decided.effects;
        self.status()
    }

    fn ask(&mut self, request: &str) -> &mut Self {
        annotate(&mut self.observed.migration, REQUEST, request);
        self
    }

    fn edit(&mut self, change: impl FnOnce(&mut MigrationSpec)) -> &mut Self {
        change(&mut self.observed.migration.spec);
        *self.observed.migration.metadata.generation.get_or_insert_default() += 1;
        self
    }

    fn started(&self) -> Option<&PhaseRunSpec> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Start { spec, .. } => Some(spec),
            _ => None,
        })
    }

    fn gate(&self) -> &Gate {
        self.status().gates.last().unwrap()
    }

    fn announced(&self, wanted: &str) -> &str {
        let note = self.effects.iter().find_map(|effect| match effect {
            Effect::Announce { reason, note, .. } if reason == wanted => Some(note),
            _ => None,
        });
        note.map_or("", String::as_str)
    }

    fn waits_for(&self, what: &str) -> &str {
        let wait = self.status().waiting_for.iter().find(|wait| wait.what == what);
        wait.map_or("", |wait| wait.command.as_str())
    }
}
