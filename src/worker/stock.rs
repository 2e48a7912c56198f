//! Stock: how many records of an object Odoo holds, before this run and now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Job, error::StepError, lookups::Known, plan::Plan, tally::Fate};
use crate::{
    api::counts::Book,
    args,
    mapping::InOdoo,
    odoo::{identity, rpc::Rpc},
};

/// What was there when this run first came to the object; kept in the workspace, so that every attempt counts alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    /// The run.
    pub run: i64,
    /// Records of the object in Odoo.
    pub present_before: i64,
    /// Highest id in `ir.model.data`: what is above was made in this run.
    pub mark: i64,
    /// Highest id in `ir.model.data` when the ledger was last begun anew: what is up to there may be missing in it.
    #[serde(default)]
    pub rebuilt: i64,
}

/// Records in Odoo whose source records are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// All of them.
    pub all: i64,
    /// Those of this run that this reading did not bring: made before they went, or were refused.
    pub of_this_run: i64,
}

impl Stock {
    /// Takes stock, or finds what an earlier attempt of the run took.
    ///
    /// # Errors
    /// When Odoo or the workspace fails.
    pub async fn before(
        job: &Job,
        rpc: &dyn Rpc,
        plan: &Plan,
        object: InOdoo<'_>,
        ledger_is_empty: bool,
    ) -> Result<Self, StepError> {
        let path = format!("stock/{}.json", object.name);
        let kept: Option<Self> = job.workspace.get_json(&path).await?;
        let stock = match kept.filter(|stock| stock.run == job.spec.run) {
            Some(stock) if !ledger_is_empty => return Ok(stock),
            Some(stock) => Self {
                rebuilt: highest_data_id(rpc).await?,
                ..stock
            },
            None => Self {
                run: job.spec.run,
                present_before: identity::count_present(rpc, &plan.external_id_module, &object.name, &object.model.0)
                    .await?,
                mark: highest_data_id(rpc).await?,
                rebuilt: 0,
            },
        };
        job.workspace.put_json(&path, &stock).await?;
        Ok(stock)
    }

    /// What became, in this run, of a record whose identity was there already.
    #[must_use]
    pub const fn fate(&self, known: Known, updated: bool) -> Fate {
        if known.data_id > self.mark {
            return if known.noupdate { Fate::Adopted } else { Fate::Created };
        }
        if updated { Fate::Updated } else { Fate::Unchanged }
    }

    /// Whether an identity must be in the ledger, if it is ours.
    #[must_use]
    pub const fn is_in_ledger(&self, known: Known) -> bool {
        known.data_id > self.mark && known.data_id > self.rebuilt
    }

    /// Counts again and fills the book's stock. What this run made of records that are gone by now is in no count of the
    /// flow: it was there before, as far as this reading of the source goes.
    ///
    /// # Errors
    /// When Odoo fails.
    pub async fn after(
        &self,
        rpc: &dyn Rpc,
        plan: &Plan,
        object: InOdoo<'_>,
        gone: Gone,
        book: &mut Book,
    ) -> Result<(), StepError> {
        let module = &plan.external_id_module;
        book.deleted = gone.all;
        book.present_before = self.present_before + gone.of_this_run;
        book.present = identity::count_present(rpc, module, &object.name, &object.model.0).await?;
        let old = identity::find_all(rpc, module, &object.name, &object.model.0).await?;
        let still: BTreeSet<i64> = old
            .iter()
            .filter(|identity| identity.data_id <= self.mark)
            .map(|identity| identity.res_id)
            .collect();
        book.removed = self.present_before - i64::try_from(still.len()).unwrap_or(i64::MAX);
        Ok(())
    }
}

async fn highest_data_id(rpc: &dyn Rpc) -> Result<i64, StepError> {
    let answer = rpc
        .call(
            "ir.model.data",
            "search_read",
            args!({"domain": [], "fields": ["id"], "limit": 1, "order": "id desc"}),
        )
        .await?;
    Ok(answer[0]["id"].as_i64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_made_in_this_run_counts_as_made_whichever_attempt_made_it() {
        let stock = Stock {
            run: 2,
            present_before: 10,
            mark: 100,
            rebuilt: 0,
        };
        let known = |data_id, noupdate| Known {
            id: Some(1),
            data_id,
            noupdate,
        };
        assert_eq!(stock.fate(known(101, false), false), Fate::Created);
        assert_eq!(stock.fate(known(101, true), true), Fate::Adopted);
        assert_eq!(stock.fate(known(100, false), true), Fate::Updated);
        assert_eq!(stock.fate(known(100, true), false), Fate::Unchanged);
    }

    #[test]
    fn what_was_made_before_the_ledger_was_begun_anew_need_not_be_in_it() {
        let known = |data_id| Known {
            id: Some(1),
            data_id,
            noupdate: false,
        };
        let mut stock = Stock {
            run: 2,
            present_before: 10,
            mark: 100,
            rebuilt: 0,
        };
        assert!(!stock.is_in_ledger(known(100)) && stock.is_in_ledger(known(101)));
        stock.rebuilt = 150;
        assert!(!stock.is_in_ledger(known(150)) && stock.is_in_ledger(known(151)));
    }
}
