//! The table of phases: what each does, and where it may lead.

use crate::api::{
    migration::{Mode, Phase},
    phase_run::Step,
};

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::Validating,
        Self::Discovering,
        Self::Extracting,
        Self::Rehearsing,
        Self::AwaitingMapping,
        Self::PreparingSchema,
        Self::Loading,
        Self::Synchronising,
        Self::CuttingOver,
        Self::Completed,
        Self::Cancelled,
    ];

    /// The step its Jobs carry out; `None` where it has none.
    #[must_use]
    pub const fn step(self) -> Option<Step> {
        match self {
            Self::Discovering => Some(Step::Discover),
            Self::Extracting => Some(Step::Extract),
            Self::Rehearsing => Some(Step::Rehearse),
            Self::PreparingSchema => Some(Step::Schema),
            Self::Loading => Some(Step::Load),
            Self::Synchronising => Some(Step::Delta),
            Self::CuttingOver => Some(Step::Cutover),
            Self::Pending | Self::Validating | Self::AwaitingMapping | Self::Completed | Self::Cancelled => None,
        }
    }

    /// Where it leads when all goes well.
    #[must_use]
    pub const fn on_success(self, mode: Mode) -> Self {
        match self {
            Self::Pending => Self::Validating,
            Self::Validating => Self::Discovering,
            Self::Discovering => Self::Extracting,
            Self::Extracting => Self::Rehearsing,
            Self::Rehearsing => match mode {
                Mode::Migrate => Self::AwaitingMapping,
                Mode::DryRun => Self::Completed,
            },
            Self::AwaitingMapping => Self::PreparingSchema,
            Self::PreparingSchema => Self::Loading,
            Self::Loading => Self::Synchronising,
            Self::Synchronising => Self::CuttingOver,
            Self::CuttingOver | Self::Completed => Self::Completed,
            Self::Cancelled => Self::Cancelled,
        }
    }

    /// Whether the run has ended.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Whether the run may hold the lock in Odoo.
    #[must_use]
    pub const fn may_hold_lock(self) -> bool {
        matches!(
            self,
            Self::PreparingSchema | Self::Loading | Self::Synchronising | Self::CuttingOver
        )
    }
}
