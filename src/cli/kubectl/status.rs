//! `status` and `report`: the screen, once or at every change.

use std::{
    io::{IsTerminal, Write, stdout},
    pin::pin,
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};

use super::{Cluster, Error};
use crate::{
    api::{Migration, PhaseRun},
    report::{
        status::{self, View},
        whole::{self, Facts},
    },
};

/// Ages on the screen are this old at most.
const REDRAW: Duration = Duration::from_secs(5);
/// Clears the terminal, what scrolled away too, and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints the screen once.
pub(super) async fn show(cluster: &Cluster, migration: &Migration, form: Form) -> Result<(), Error> {
    let runs = cluster.phase_runs(&migration.name_any()).await?;
    print!("{}", rendered(migration, &runs, form, stdout().is_terminal()));
    Ok(())
}

/// The report of a Migration as text.
pub(super) async fn report(cluster: &Cluster, migration: &Migration, form: Form) -> Result<String, Error> {
    let runs = cluster.phase_runs(&migration.name_any()).await?;
    let told = |run: PhaseRun| Some((run.name_any(), run.status?));
    let phase_runs: Vec<_> = runs.into_iter().filter_map(told).collect();
    let report = whole::report(Facts {
        migration,
        phase_runs: &phase_runs,
        laptop: false,
        memory: false,
    });
    Ok(match form {
        Form::Text => whole::markdown(&report),
        Form::Json => whole::json(&report),
    })
}

fn rendered(migration: &Migration, runs: &[PhaseRun], form: Form, colour: bool) -> String {
    let view = View {
        now: Timestamp::now(),
        colour,
        laptop: false,
    };
    match form {
        Form::Text => status::screen(migration, runs, view),
        Form::Json => format!("{:#}\n", status::json(migration, runs)),
    }
}

/// Draws the screen at every change, until the Migration is deleted or we are stopped. Without a terminal each change
/// is a line.
pub(super) async fn watch(cluster: &Cluster, migration: &Migration, form: Form) -> Result<(), Error> {
    let name = migration.name_any();
    let terminal = stdout().is_terminal() && form == Form::Text;
    let mut changes = pin!(watcher::watch_object(cluster.migrations(), &name).default_backoff());
    let mut shown: Option<Migration> = None;
    let mut last = String::new();
    loop {
        tokio::select! {
            change = changes.next() => match change {
                None => return Ok(()),
                Some(Ok(Some(now))) => shown = Some(now),
                Some(Ok(None)) => return Err(Error::Refused(format!("migration/{name} is gone"))),
                Some(Err(error)) => match broken(error, &name) {
                    Some(error) => return Err(error),
                    None => continue,
                },
            },
            () = tokio::time::sleep(REDRAW), if terminal => {}
        }
        let Some(now) = &shown else { continue };
        if terminal {
            let runs = cluster.phase_runs(&name).await?;
            print!("{CLEAR}{}", rendered(now, &runs, form, true));
            // a terminal that is gone ends the next print
            let _ = stdout().flush();
            continue;
        }
        let line = match form {
            Form::Text => status::line(now),
            Form::Json => status::json(now, &cluster.phase_runs(&name).await?).to_string(),
        };
        if line != last {
            match form {
                Form::Text => println!("{} {line}", Timestamp::now().strftime("%H:%M:%SZ")),
                Form::Json => println!("{line}"),
            }
            last = line;
        }
    }
}

/// Why a watch cannot go on; `None` where the next try may do.
fn broken(error: watcher::Error, name: &str) -> Option<Error> {
    let doing = format!("watch migration/{name}");
    let source = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        // too old a version: the watch begins anew by itself
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => return None,
    };
    let lasting = matches!(&source, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
    lasting.then(|| Error::kube(doing)(source))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_watch_ends_only_for_what_will_not_pass() {
        let failed =
            |code| watcher::Error::WatchFailed(kube::Error::Api(Status::failure("m", "r").with_code(code).boxed()));
        for (code, ends) in [
            (403, true),
            (404, true),
            (401, true),
            (500, false),
            (410, false),
            (429, false),
        ] {
            assert_eq!(broken(failed(code), "acme").is_some(), ends, "{code}");
        }
        assert!(broken(watcher::Error::NoResourceVersion, "acme").is_none());
    }
}
