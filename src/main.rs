//! TLS provider, then the command line. Called `kubectl-crmferry` it is the plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    // kube and reqwest would each bring a provider of their own, and neither would win
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    crmferry::cli::main(std::env::args_os())
}
