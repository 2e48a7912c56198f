//! The command line: one binary, one file a command. Decides nothing about a Migration; [`crate::lifecycle`] does.
//!
//! `run` drives the same life as the operator, on a laptop. Called `kubectl-crmferry` the binary is the plugin.

pub mod catalogue;
pub mod crds;
pub mod error;
pub mod kubectl;
pub mod local;
pub mod manifests;
pub mod operator;
pub mod plan;
pub mod report;
pub mod run;
mod signals;
mod telemetry;
pub mod validate;
pub mod worker;

use std::{
    ffi::{OsStr, OsString},
    io::Write,
    path::Path,
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};

use crate::chain::Chain;
use error::{EXIT_CODES, Error};

/// Name of the plugin's binary.
const PLUGIN: &str = "kubectl-crmferry";

/// Ferries a company's CRM into Odoo, and proves that no record was lost on the way.
#[derive(Parser)]
#[command(name = "crmferry", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a Migration on this machine, without a cluster.
    #[command(after_help = RUN_HELP)]
    Run(run::Args),
    /// Says what is wrong with manifests.
    #[command(after_help = VALIDATE_HELP)]
    Validate(validate::Args),
    /// Says what a mapping will do, before anything runs.
    #[command(after_help = PLAN_HELP)]
    Plan(plan::Args),
    /// Prints the report of a workspace.
    #[command(after_help = REPORT_HELP)]
    Report(report::Args),
    /// Lists the built-in mappings, or shows one.
    #[command(after_help = CATALOGUE_HELP)]
    Catalogue(catalogue::Args),
    /// Prints the definitions of the resources (CRDs).
    #[command(after_help = CRDS_HELP)]
    Crds(crds::Args),
    /// Runs the operator (what the chart starts).
    #[command(after_help = OPERATOR_HELP)]
    Operator(crate::operator::Args),
    /// Carries out one attempt (what the operator's Jobs start).
    #[command(after_help = WORKER_HELP)]
    Worker(worker::Args),
    #[command(flatten)]
    Pod(kubectl::PodCommand),
}

const RUN_HELP: &str = "\
Without --destination odoo nothing is written to the Odoo of the manifest: records go to an Odoo in memory that is kept
in the workspace. Run again, the same command goes on where it was; on a completed workspace it starts the next run.

Examples:
  crmferry run -f deploy/samples/pipz-to-odoo/ --exports deploy/samples/pipz-to-odoo/exports
  crmferry run -f acme.yaml --approve mapping --approve cutover
  crmferry run -f acme.yaml --destination odoo --secrets ./secrets     (./secrets/<secretRef>/apiKey)
  crmferry run -f acme.yaml --retry from-extract

Exit codes:
  0   completed (or cancelled, with --cancel)
  1   failed for another reason
  2   the command line makes no sense
  3   a gate waits for approval
  4   stalled: the reason and the command that helps are printed
  5   a manifest is invalid
  75  told to stop (Ctrl-C); the same command goes on";
const VALIDATE_HELP: &str = "\
Examples:
  crmferry validate deploy/samples/pipz-to-odoo/
  crmferry validate --output json mapping.yaml
  kustomize build . | crmferry validate -";
const PLAN_HELP: &str = "\
Examples:
  crmferry plan -f mapping.yaml
  crmferry plan -f mapping.yaml --exports ./exports
  crmferry plan -f mapping.yaml --show-spec";
const REPORT_HELP: &str = "\
Examples:
  crmferry report --workspace .crmferry/acme
  crmferry report --workspace .crmferry/acme --output json";
const CATALOGUE_HELP: &str = "\
Examples:
  crmferry catalogue
  crmferry catalogue pipz-to-odoo
  crmferry catalogue pipz-to-odoo --yaml";
const CRDS_HELP: &str = "\
Examples:
  crmferry crds | kubectl apply --server-side -f -
  crmferry crds --out crds/";
const OPERATOR_HELP: &str = "\
Example:
  crmferry operator --watch-namespaces crm --worker-image ghcr.io/example/crmferry:0.1.0";
const WORKER_HELP: &str = "\
Example:
  crmferry worker --phase-run acme-contacts-r1a7 --namespace crm

Exit codes:
  0   done
  10  worth another attempt
  20  another attempt would end the same way
  30  a Secret, the workspace or a setting is wrong
  40  another run holds the lock in Odoo
  75  told to stop";

/// How output is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs the command line.
#[must_use]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Error::outside("start")(error)),
    };
    let exit = if is_plugin(arguments.first()) {
        runtime.block_on(kubectl::main(arguments)).into()
    } else {
        runtime.block_on(dispatch(Arguments::parse_from(arguments).command))
    };
    // a question that nobody answered would keep the process alive
    runtime.shutdown_background();
    exit
}

/// Whether the name we were called by is the plugin's.
fn is_plugin(called: Option<&OsString>) -> bool {
    called.and_then(|called| Path::new(called).file_stem()) == Some(OsStr::new(PLUGIN))
}

async fn dispatch(command: Command) -> ExitCode {
    match &command {
        Command::Operator(_) | Command::Worker(_) => telemetry::cluster(),
        _ => telemetry::people(),
    }
    let result = match command {
        Command::Worker(args) => return worker::run(args).await.code().into(),
        Command::Pod(command) => return kubectl::pod(command).await.into(),
        Command::Operator(args) => operator::run(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Validate(args) => validate::run(&args),
        Command::Plan(args) => plan::run(&args).await,
        Command::Report(args) => report::run(&args),
        Command::Catalogue(args) => catalogue::run(&args),
        Command::Crds(args) => crds::run(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("crmferry: {}", Chain(error));
    error.exit().into()
}

/// Prints to standard output. Whoever reads may have heard enough (`| head`): that is no failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_makes_sense_and_every_command_shows_an_example() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains(&format!("crmferry {}", sub.get_name())),
                "{}",
                sub.get_name()
            );
        }
    }

    #[test]
    fn every_remedy_of_a_laptop_can_be_typed_and_changes_something() {
        use crate::{
            api::{Phase, phase_run::FailureReason},
            lifecycle::verbs::{self, Target},
        };
        let target = Target {
            name: "acme",
            namespace: "crm",
            laptop: true,
        };
        let schema = serde_json::to_value(schemars::schema_for!(FailureReason)).unwrap();
        let reasons = schema["oneOf"].as_array().unwrap().iter();
        let reasons: Vec<&str> = reasons.filter_map(|reason| reason["const"].as_str()).collect();
        assert!(reasons.len() > 20, "{schema}");
        let typed = |command: &str| {
            let files = ["a.yaml".into(), "b.yaml".into()];
            let invocation = "crmferry run -f a.yaml -f b.yaml --workspace ws";
            let line = run::typed(command, invocation, &files);
            match Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command) {
                Ok(command) => command,
                Err(error) => panic!("{line}: {error}"),
            }
        };
        for reason in reasons.into_iter().chain(["Retries"]) {
            for (phase, extracted, api) in [
                (Phase::Discovering, false, false),
                (Phase::Extracting, true, false),
                (Phase::Extracting, true, true),
                (Phase::AwaitingMapping, true, false),
            ] {
                let stall = verbs::Stall { phase, extracted, api };
                let (_, command) = verbs::remedy(reason, stall, target);
                let Command::Run(args) = typed(&verbs::command(command, target)) else {
                    panic!("{reason} in {phase:?} changes nothing");
                };
                let asked = args.request.retry.is_some() || args.request.cancel || args.request.replan;
                assert!(asked || args.exports.is_some(), "{reason} in {phase:?} changes nothing");
                assert!(
                    reason != "SourceUnavailable" || api || args.exports.is_some(),
                    "a mended export is to be read"
                );
            }
        }
        let given = verbs::command(verbs::Command::GiveMapping, target);
        assert!(matches!(typed(&given), Command::Run(args) if args.files.len() == 3));
        let shown = verbs::command(verbs::Command::DescribeMapping("m"), target);
        assert!(matches!(typed(&shown), Command::Validate(args) if args.files.len() == 2));
    }

    #[test]
    fn the_exit_codes_that_help_tells_are_those_there_are() {
        use error::Exit::{AwaitingApproval, Completed, Failed, Invalid, Stalled, Stopped, Usage};
        for exit in [Completed, Failed, Usage, AwaitingApproval, Stalled, Invalid, Stopped] {
            for help in [EXIT_CODES, RUN_HELP] {
                assert!(help.contains(&format!("\n  {:<4}", exit.code())), "{exit:?}");
            }
        }
    }

    #[test]
    fn the_name_it_is_called_by_tells_the_plugin() {
        for (name, plugin) in [
            ("kubectl-crmferry", true),
            ("/usr/bin/kubectl-crmferry", true),
            ("crmferry", false),
        ] {
            assert_eq!(is_plugin(Some(&name.into())), plugin, "{name}");
        }
        assert!(!is_plugin(None));
    }
}
