//! `crmferry operator`: the operator itself, on a cluster.

use super::error::{Error, Exit};
use crate::operator::{self, Args, Settings};

/// Runs the operator until it is told to stop.
///
/// # Errors
/// When its settings are invalid, or there is no cluster.
pub async fn run(args: Args) -> Result<Exit, Error> {
    let settings = Settings::load(args).map_err(Error::outside("read the settings"))?;
    operator::run(settings)
        .await
        .map_err(Error::outside("run the operator"))?;
    Ok(Exit::Completed)
}
