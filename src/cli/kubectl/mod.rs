//! `kubectl crmferry`: how people follow and steer a Migration on a cluster. It has the rights of who calls it, and only
//! reads, annotates and carries files; what follows from that is the operator's.
//!
//! Start at [`main`]; [`transfer`] is also what the pod of `push` and `results` runs.

mod approve;
mod carry;
mod cluster;
mod error;
mod pod;
mod requests;
mod status;
mod target;
#[cfg(test)]
mod testing;
pub mod transfer;

use std::{
    ffi::OsString,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

use clap::{Parser, Subcommand, ValueEnum};

pub use self::transfer::{PodCommand, pod};
use self::{
    approve::How,
    cluster::{Cluster, Reach},
    error::Error,
    status::Form,
};

/// Follow and steer Migrations of a CRM into Odoo.
///
/// A command is about one Migration: NAME or migration/NAME, or none where the namespace has exactly one.
#[derive(Parser, Debug)]
#[command(
    name = "kubectl crmferry",
    bin_name = "kubectl crmferry",
    version,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\n\nExamples:\n  \
        kubectl crmferry status --watch\n  kubectl crmferry push ./exports migration/acme -n crm\n  \
        kubectl crmferry approve mapping migration/acme -n crm"
)]
struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show on one screen where a Migration is, its books, what it waits for and the command to go on.
    #[command(
        after_help = "Examples:\n  kubectl crmferry status\n  kubectl crmferry status migration/acme -n crm --watch\n  \
        kubectl crmferry status acme -o json | jq .commands"
    )]
    Status {
        /// The Migration.
        target: Option<String>,
        /// Redraw at every change; where there is no terminal, print a line at every change.
        #[arg(short, long)]
        watch: bool,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Approve a gate on exactly the evidence that was sealed for it.
    #[command(after_help = "Examples:\n  kubectl crmferry approve mapping\n  \
        kubectl crmferry approve cutover migration/acme -n crm --for CHG-1042\n  \
        kubectl crmferry approve cutover acme --print --by system:serviceaccount:flux-system:kustomize-controller\n\n\
        May you? kubectl auth can-i approve migrations/acme --subresource=cutover")]
    Approve {
        /// The gate.
        #[arg(value_parser = GATES)]
        gate: String,
        /// The Migration.
        target: Option<String>,
        /// Print the line for the manifest's metadata.annotations in Git, and nothing else.
        #[arg(long)]
        print: bool,
        /// With --print: the user that applies the manifest, where that is not you.
        #[arg(long, requires = "print", value_name = "USER")]
        by: Option<String>,
        /// Why, or for whom: becomes part of the approval.
        #[arg(long = "for", value_name = "TEXT")]
        reason: Option<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Take an approval back, as long as the gate has not passed.
    #[command(after_help = "Example:\n  kubectl crmferry revoke cutover migration/acme -n crm")]
    Revoke {
        /// The gate.
        #[arg(value_parser = GATES)]
        gate: String,
        /// The Migration.
        target: Option<String>,
    },
    /// Try again what stalled; with from-extract, read the source again and go through everything after it.
    #[command(
        override_usage = "kubectl crmferry retry [OPTIONS] [TARGET] [from-extract]",
        after_help = "Examples:\n  kubectl crmferry retry migration/acme -n crm\n  \
        kubectl crmferry retry migration/acme from-extract -n crm"
    )]
    Retry {
        /// The Migration, and from-extract.
        #[arg(value_name = "TARGET", num_args = 0..=2)]
        words: Vec<String>,
    },
    /// Give up the run; what is in Odoo stays there.
    #[command(after_help = "Example:\n  kubectl crmferry cancel migration/acme -n crm")]
    Cancel {
        /// The Migration.
        target: Option<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Begin another run with the same external ids, once the last one is over.
    #[command(after_help = "Example:\n  kubectl crmferry rerun migration/acme -n crm")]
    Rerun {
        /// The Migration.
        target: Option<String>,
    },
    /// Take the MappingSpec as it is now.
    #[command(after_help = "Example:\n  kubectl crmferry replan migration/acme -n crm")]
    Replan {
        /// The Migration.
        target: Option<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Take over Odoo's lock with the next Job, from whoever holds it.
    #[command(after_help = "Example:\n  kubectl crmferry unlock migration/acme -n crm")]
    Unlock {
        /// The Migration.
        target: Option<String>,
    },
    /// Suspend: the running attempt ends, the place is kept.
    #[command(after_help = "Example:\n  kubectl crmferry pause migration/acme -n crm")]
    Pause {
        /// The Migration.
        target: Option<String>,
    },
    /// Go on after pause.
    #[command(after_help = "Example:\n  kubectl crmferry resume migration/acme -n crm")]
    Resume {
        /// The Migration.
        target: Option<String>,
    },
    /// Write a report of the run: books, reasons, gates, findings.
    #[command(after_help = "Examples:\n  kubectl crmferry report migration/acme -n crm\n  \
        kubectl crmferry report acme --json -o acme.json")]
    Report {
        /// The Migration.
        target: Option<String>,
        /// File to write; standard output where not given.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Bring a folder of export files into the workspace; replaces what was pushed before, whole.
    #[command(
        after_help = "Examples:\n  kubectl crmferry push ./exports migration/acme -n crm\n  \
        kubectl crmferry push ./exports acme --image crmferry/crmferry:0.1.0\n\n\
        It starts a short-lived pod that has the Migration's claim: you need the verbs create, get, delete on pods and \
        get, create on pods/exec."
    )]
    Push {
        /// The folder.
        dir: PathBuf,
        /// The Migration.
        target: Option<String>,
        /// Image of the pod; that of the run, else that of the operator's workers, where not given.
        #[arg(long, value_name = "IMAGE")]
        image: Option<String>,
    },
    /// Fetch the results out of the workspace: CSVs of what succeeded, failed and was rejected, the documents that are
    /// handed over, the scope.
    #[command(
        after_help = "Examples:\n  kubectl crmferry results migration/acme -n crm -o ./acme\n  \
        kubectl crmferry results acme -o ./all --all\n\n\
        It starts a short-lived pod that has the Migration's claim: you need the verbs create, get, delete on pods and \
        get, create on pods/exec."
    )]
    Results {
        /// The Migration.
        target: Option<String>,
        /// Folder to put them in.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Everything in the workspace: exports, snapshots and ledgers too.
        #[arg(long)]
        all: bool,
        /// Image of the pod; that of the run, else that of the operator's workers, where not given.
        #[arg(long, value_name = "IMAGE")]
        image: Option<String>,
    },
}

/// The gates there are.
const GATES: [&str; 2] = ["mapping", "cutover"];

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl From<Output> for Form {
    fn from(output: Output) -> Self {
        match output {
            Output::Text => Self::Text,
            Output::Json => Self::Json,
        }
    }
}

/// Runs the plugin with its arguments, the program's name first; the answer is the exit code: 0 done, 1 refused or failed,
/// 2 wrong usage.
pub async fn main(args: Vec<OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // there is nobody to tell where this cannot be printed
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match run(arguments).await {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            error.code()
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let cluster = Cluster::connect(arguments.reach).await?;
    let of = async |target: &Option<String>| cluster.migration(target.as_deref()).await;
    match arguments.command {
        Command::Status {
            target,
            watch: true,
            output,
        } => status::watch(&cluster, &of(&target).await?, output.into()).await,
        Command::Status { target, output, .. } => status::show(&cluster, &of(&target).await?, output.into()).await,
        Command::Approve {
            gate,
            target,
            print,
            by,
            reason,
            yes,
        } => {
            let how = How { print, by, reason, yes };
            approve::approve(&cluster, &of(&target).await?, &gate, how).await
        }
        Command::Revoke { gate, target } => approve::revoke(&cluster, &of(&target).await?, &gate).await,
        Command::Retry { words } => {
            let (target, from_extract) = target::retry(&words)?;
            let verb = if from_extract { "retry from-extract" } else { "retry" };
            requests::request(&cluster, &of(&target).await?, verb).await
        }
        Command::Cancel { target, yes } => requests::cancel(&cluster, &of(&target).await?, yes).await,
        Command::Rerun { target } => requests::request(&cluster, &of(&target).await?, "rerun").await,
        Command::Replan { target, yes } => requests::replan(&cluster, &of(&target).await?, yes).await,
        Command::Unlock { target } => requests::request(&cluster, &of(&target).await?, "unlock").await,
        Command::Pause { target } => requests::suspend(&cluster, &of(&target).await?, true).await,
        Command::Resume { target } => requests::suspend(&cluster, &of(&target).await?, false).await,
        Command::Report { target, output, json } => {
            let form = if json { Form::Json } else { Form::Text };
            let text = status::report(&cluster, &of(&target).await?, form).await?;
            write_report(output, &text)
        }
        Command::Push { dir, target, image } => {
            carry::push(&cluster, &of(&target).await?, &dir, image.as_deref()).await
        }
        Command::Results {
            target,
            output,
            all,
            image,
        } => carry::results(&cluster, &of(&target).await?, &output, all, image.as_deref()).await,
    }
}

fn write_report(output: Option<PathBuf>, text: &str) -> Result<(), Error> {
    let Some(path) = output else {
        print!("{text}");
        return Ok(());
    };
    std::fs::write(&path, text).map_err(|error| Error::Refused(format!("cannot write {}: {error}", path.display())))?;
    println!("{}", path.display());
    Ok(())
}

/// Asks, and goes on only at a yes.
fn ask(question: &str) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!(
            "{question} There is no terminal to ask at: give --yes"
        )));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let heard = io::stderr()
        .flush()
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    if heard.is_ok() && is_yes(&answer) {
        Ok(())
    } else {
        Err(Error::Refused("nothing was done".into()))
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_every_command_has_an_example() {
        let mut arguments = Arguments::command();
        arguments.build();
        arguments.clone().debug_assert();
        for command in arguments
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
        {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn every_command_that_the_operator_prints_is_understood() {
        use crate::lifecycle::verbs::{Command as Printed, Target, command};
        let target = Target {
            name: "acme",
            namespace: "crm",
            laptop: false,
        };
        for printed in [
            Printed::Approve("mapping"),
            Printed::Approve("cutover"),
            Printed::Request("retry"),
            Printed::Request("retry from-extract"),
            Printed::Request("cancel"),
            Printed::Request("rerun"),
            Printed::Request("replan"),
            Printed::Request("unlock"),
            Printed::Push,
            Printed::Resume,
        ] {
            let line = command(printed, target);
            let words = line.strip_prefix("kubectl ").unwrap().split(' ');
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn an_unknown_gate_verb_or_flag_is_a_usage_error() {
        for line in [
            "approve migration/acme",
            "revoke sandbox",
            "rollback acme",
            "status --wach",
            "results acme",
            "push",
        ] {
            let error = Arguments::try_parse_from(["x"].into_iter().chain(line.split(' '))).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, wanted) in [
            ("y\n", true),
            (" YES\n", true),
            ("\n", false),
            ("no", false),
            ("yep", false),
        ] {
            assert_eq!(is_yes(answer), wanted, "{answer:?}");
        }
    }
}
