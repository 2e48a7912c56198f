//! The checked-in CRDs are what the types say, and their CEL rules do what they claim.

use std::{env, fs, path::Path};

use crmferry::api::{crds, render};

#[test]
fn checked_in_crds_are_what_the_types_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (file, crd) in crds() {
        let wanted = render(&crd).unwrap();
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(dir.join(file), &wanted).unwrap();
        }
        let found = fs::read_to_string(dir.join(file)).unwrap_or_default();
        assert!(
            found == wanted,
            "crds/{file} is stale: run `UPDATE_GOLDEN=1 cargo test --test it crds`"
        );
    }
}
