//! The verbs, and `pause` and `resume`.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use super::{Cluster, Error, ask};
use crate::{
    api::{Migration, Phase, REQUEST, migration::Answer},
    report::status::clean,
};

/// How long the operator may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(300);

/// Asks the operator for something, and prints its answer.
pub(super) async fn request(cluster: &Cluster, migration: &Migration, verb: &str) -> Result<(), Error> {
    let name = migration.name_any();
    let request = written(verb, Timestamp::now());
    cluster
        .patch(&name, &json!({"metadata": {"annotations": {REQUEST: request}}}))
        .await?;
    let heard = async {
        loop {
            let now = cluster.get(&name).await?;
            if let Some(answer) = answer(&now, &request) {
                return told(verb, answer);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, heard).await {
        Ok(Ok(text)) => {
            println!("{text}");
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::Refused(format!(
            "{verb} was asked for, but the operator has not answered within {} s: is it running? Its answer will show in: \
             kubectl crmferry status migration/{name} -n {}",
            PATIENCE.as_secs(),
            cluster.namespace
        ))),
    }
}

/// Cancels, after saying what that means.
pub(super) async fn cancel(cluster: &Cluster, migration: &Migration, yes: bool) -> Result<(), Error> {
    if !yes {
        ask(&price(migration))?;
    }
    request(cluster, migration, "cancel").await
}

/// Replans, after saying what that means.
pub(super) async fn replan(cluster: &Cluster, migration: &Migration, yes: bool) -> Result<(), Error> {
    if !yes {
        ask(&way_back(migration))?;
    }
    request(cluster, migration, "replan").await
}

/// Sets `spec.suspend`.
pub(super) async fn suspend(cluster: &Cluster, migration: &Migration, suspend: bool) -> Result<(), Error> {
    let name = migration.name_any();
    if migration.spec.suspend != suspend {
        cluster.patch(&name, &json!({"spec": {"suspend": suspend}})).await?;
    }
    println!("{}", suspended(migration, suspend));
    Ok(())
}

/// The annotation: verb, argument, and a word that was not used before.
fn written(verb: &str, now: Timestamp) -> String {
    format!("{verb} {:x}", now.as_nanosecond())
}

/// The answer to exactly this request.
fn answer<'a>(migration: &'a Migration, request: &str) -> Option<&'a Answer> {
    let answer = migration.status.as_ref()?.last_request.as_ref()?;
    (answer.request == request).then_some(answer)
}

fn told(verb: &str, answer: &Answer) -> Result<String, Error> {
    let message = clean(&answer.message);
    if answer.accepted {
        Ok(format!("{verb}: {message}"))
    } else {
        Err(Error::Refused(format!("{verb} was refused: {message}")))
    }
}

/// What cancelling means, as a question.
fn price(migration: &Migration) -> String {
    let status = migration.status.clone().unwrap_or_default();
    let sum = |count: fn(&crate::api::Book) -> i64| {
        let in_odoo = status.objects.iter().filter(|object| object.document.is_none());
        in_odoo.map(|object| count(&object.book)).sum::<i64>()
    };
    // before the first write the books are predictions
    let written = if status.phase < Phase::PreparingSchema {
        0
    } else {
        sum(|book| book.present)
    };
    let kept = if written > 0 {
        format!("its {written} records stay in Odoo")
    } else {
        "what it wrote to Odoo, if anything, stays there".into()
    };
    format!(
        "Cancel run {} of migration/{} in phase {:?}? The running Job ends, the lock in Odoo is given back, {kept}; \
         rerun begins another run with the same external ids.",
        status.run,
        migration.name_any(),
        status.phase
    )
}

/// What replanning means, as a question.
fn way_back(migration: &Migration) -> String {
    let status = migration.status.clone().unwrap_or_default();
    format!(
        "Replan run {} of migration/{} in phase {:?}? The running Job ends and the MappingSpec is taken as it is now; discovery, \
         extraction and rehearsal follow anew, and both gates need new approvals. What is in Odoo stays, under the same \
         external ids.",
        status.run,
        migration.name_any(),
        status.phase
    )
}

fn suspended(migration: &Migration, suspend: bool) -> String {
    let name = migration.name_any();
    match (suspend, migration.spec.suspend) {
        (true, false) => format!("migration/{name} is suspended: the running attempt ends, the place is kept"),
        (true, true) => format!("migration/{name} was suspended already"),
        (false, true) => format!("migration/{name} goes on"),
        (false, false) => format!("migration/{name} was not suspended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::kubectl::testing::migration, lifecycle::verbs};

    #[test]
    fn a_request_is_one_the_operator_reads_and_never_twice_the_same() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for verb in ["retry", "retry from-extract", "cancel", "rerun", "replan", "unlock"] {
            assert!(verbs::parse(&written(verb, at(1))).is_ok(), "{verb}");
        }
        assert_ne!(written("retry", at(1)), written("retry", at(2)));
    }

    #[test]
    fn only_the_answer_to_this_request_counts() {
        let seen = migration(
            &json!({"lastRequest": {"request": "retry 1", "accepted": false, "message": "an attempt\nis at work",
            "at": "2026-01-01T00:00:00Z"}}),
        );
        assert!(answer(&seen, "retry 2").is_none());
        let answer = answer(&seen, "retry 1").unwrap();
        let refused = told("retry", answer).unwrap_err();
        assert_eq!(refused.to_string(), "retry was refused: an attempt is at work");
        assert_eq!(refused.code(), 1);
        let accepted = Answer {
            accepted: true,
            ..answer.clone()
        };
        assert_eq!(told("retry", &accepted).unwrap(), "retry: an attempt is at work");
    }

    #[test]
    fn cancelling_says_what_stays_in_odoo() {
        let seen = migration(&json!({"phase": "Loading", "run": 2,
            "objects": [{"name": "a", "model": "m", "book": {"present": 40}}, {"name": "b", "model": "m", "book": {"present": 2}},
                        {"name": "c", "document": "handover/c.csv", "book": {"present": 9}}]}));
        let text = price(&seen);
        assert!(
            text.contains("run 2") && text.contains("its 42 records stay in Odoo"),
            "{text}"
        );
        for none in [
            json!({}),
            json!({"phase": "Rehearsing", "objects": [{"name": "a", "model": "m", "book": {"present": 4}}]}),
        ] {
            assert!(price(&migration(&none)).contains("if anything, stays there"));
        }
    }

    #[test]
    fn replanning_says_that_both_gates_are_ahead_again() {
        let text = way_back(&migration(&json!({"phase": "Loading", "run": 2})));
        assert!(
            text.contains("run 2 of migration/") && text.contains("in phase Loading?"),
            "{text}"
        );
        assert!(text.contains("both gates need new approvals"), "{text}");
    }

    #[test]
    fn pausing_twice_says_so() {
        let mut seen = migration(&json!({}));
        assert!(suspended(&seen, true).contains("is suspended:"));
        assert!(suspended(&seen, false).contains("was not"));
        seen.spec.suspend = true;
        assert!(suspended(&seen, true).contains("already"));
        assert!(suspended(&seen, false).contains("goes on"));
    }
}
