//! `crmferry crds`: the CRDs, as they are checked in.

use std::{fs, path::PathBuf};

use super::error::{Error, Exit};
use crate::api;

/// Arguments of `crmferry crds`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder to write a file for each to; they are printed where none is given.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Carries the command out.
///
/// # Errors
/// When a file cannot be written.
pub fn run(args: &Args) -> Result<Exit, Error> {
    for (file, crd) in api::crds() {
        let text = api::render(&crd).map_err(Error::outside("render a CRD"))?;
        match &args.out {
            None => super::print(&format!("---\n{text}")),
            Some(folder) => {
                fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
                let path = folder.join(file);
                fs::write(&path, text).map_err(Error::io("write", &path))?;
            }
        }
    }
    Ok(Exit::Completed)
}
