//! Arguments, TLS provider, telemetry, one call.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crmferry::{
    chain::Chain,
    operator::{self, Settings},
};
use tracing_subscriber::EnvFilter;

/// Moves a company's CRM into Odoo without losing a record.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the operator.
    Operator(operator::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    // kube and reqwest would each bring a provider of their own, and neither would win
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    tracing_subscriber::fmt()
        .json()
        .with_span_list(false)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn")))
        .init();
    let Command::Operator(arguments) = Arguments::parse().command;
    let outcome = match Settings::load(arguments) {
        Ok(settings) => operator::run(settings).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "operator failed");
            ExitCode::FAILURE
        }
    }
}
