use std::os::unix::fs::symlink;

use super::*;

fn silent() -> impl FnMut(u64) {
    |_| {}
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// A tar of a folder and the digest of what is in it.
fn packed(folder: &Path) -> (Vec<u8>, String) {
    let (manifest, tar) = pack(&list(folder, None).unwrap(), Vec::new(), &mut silent()).unwrap();
    (tar, manifest.digest().to_string())
}

/// A tar with one entry of whatever kind and name.
fn forged(name: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(u64::from(kind == tar::EntryType::Regular));
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    if kind == tar::EntryType::Regular {
        bytes.push(b'x');
        bytes.extend([0; 511]);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn agreeing(tar: &[u8], digest: &str) -> Vec<u8> {
    [tar, format!("keep {digest}\n").as_bytes()].concat()
}

#[test]
fn what_is_sent_arrives_and_replaces_the_folder_whole() {
    let (source, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = format!("{}/{}.csv", "d".repeat(90), "n".repeat(90));
    write(source.path(), "contacts.csv", "id;name\n1;José 🚢\n");
    write(source.path(), &long, "deep");
    write(source.path(), "empty.csv", "");
    write(root.path(), "crm/acme/exports/stale.csv", "old");
    write(root.path(), "crm/acme/ledger/1", "ours");
    let (tar, digest) = packed(source.path());
    let mut said = Vec::new();
    receive(
        root.path(),
        "crm/acme",
        "exports/",
        &agreeing(&tar, &digest)[..],
        &mut said,
    )
    .unwrap();
    let exports = root.path().join("crm/acme/exports");
    assert_eq!(read(exports.join("contacts.csv")), "id;name\n1;José 🚢\n");
    assert_eq!(read(exports.join(long)), "deep");
    assert!(exports.join("empty.csv").exists() && !exports.join("stale.csv").exists());
    assert_eq!(read(root.path().join("crm/acme/ledger/1")), "ours");
    assert_eq!(
        fs::read_dir(root.path().join("crm/acme")).unwrap().count(),
        2,
        "nothing is left beside"
    );
    assert!(
        String::from_utf8(said)
            .unwrap()
            .starts_with(&format!("arrived {digest}\nkept "))
    );
}

#[test]
fn the_old_folder_stays_when_anything_goes_wrong() {
    let (source, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(source.path(), "contacts.csv", "new\n");
    write(root.path(), "crm/acme/exports/contacts.csv", "old");
    let (tar, digest) = packed(source.path());
    let cut_in_a_file = tar[..514].to_vec();
    let other = agreeing(&tar, "sha256:00");
    let unheard = tar.clone();
    let link = agreeing(&forged("l", tar::EntryType::Symlink), &digest);
    for input in [cut_in_a_file, other, unheard, link, Vec::new(), vec![7; 600]] {
        assert!(receive(root.path(), "crm/acme", "exports", &input[..], Vec::new()).is_err());
        assert_eq!(read(root.path().join("crm/acme/exports/contacts.csv")), "old");
        assert_eq!(fs::read_dir(root.path().join("crm/acme")).unwrap().count(), 1);
    }
}

#[test]
fn a_push_that_was_killed_between_two_renames_is_mended_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "crm/acme/.exports.old/contacts.csv", "old");
    write(root.path(), "crm/acme/.exports.new/half.csv", "half");
    assert!(receive(root.path(), "crm/acme", "exports", &b""[..], Vec::new()).is_err());
    assert_eq!(read(root.path().join("crm/acme/exports/contacts.csv")), "old");
    assert_eq!(fs::read_dir(root.path().join("crm/acme")).unwrap().count(), 1);
}

#[test]
fn two_pushes_at_once_do_not_mix() {
    let (source, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(source.path(), "contacts.csv", "new\n");
    write(root.path(), "crm/acme/exports/contacts.csv", "old");
    let (tar, digest) = packed(source.path());
    let other = File::open(root.path().join("crm/acme")).unwrap();
    other.lock().unwrap();
    let refused = receive(
        root.path(),
        "crm/acme",
        "exports",
        &agreeing(&tar, &digest)[..],
        Vec::new(),
    );
    assert!(matches!(refused, Err(TransferError::Busy(_))));
    other.unlock().unwrap();
    receive(
        root.path(),
        "crm/acme",
        "exports",
        &agreeing(&tar, &digest)[..],
        Vec::new(),
    )
    .unwrap();
}

#[test]
fn nothing_is_written_outside_the_folder_nor_twice() {
    let root = tempfile::tempdir().unwrap();
    let regular = tar::EntryType::Regular;
    for (tar, what) in [
        (forged("../evil", regular), "above"),
        (forged("a/../../evil", regular), "above, in the middle"),
        (forged("/etc/evil", regular), "absolute"),
        (forged("./x", regular), "a dot"),
        (forged("a\\b", regular), "a backslash"),
        (forged("l", tar::EntryType::Symlink), "a link"),
        (forged("l", tar::EntryType::Link), "a hard link"),
        (forged("f", tar::EntryType::Fifo), "a pipe"),
        (forged("d", tar::EntryType::Directory), "a folder"),
    ] {
        let into = root.path().join("in");
        assert!(unpack(&tar[..], &into, &mut silent()).is_err(), "{what}");
        assert_eq!(fs::read_dir(&into).unwrap().count(), 0, "{what}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "{what}");
        fs::remove_dir_all(into).unwrap();
    }
    let one = forged("a", regular);
    let twice = [&one[..1024], &one[..]].concat();
    assert!(unpack(&twice[..], &root.path().join("in"), &mut silent()).is_err());
}

#[test]
fn a_push_goes_below_the_migration_s_folder_and_never_over_the_run_s_own_files() {
    let root = Path::new("/workspace");
    for (folder, path, wanted) in [
        ("crm/acme", "exports/", Some("/workspace/crm/acme/exports")),
        ("crm/acme", "in/2026", Some("/workspace/crm/acme/in/2026")),
        ("crm/acme", "../other", None),
        ("../acme", "exports", None),
        ("crm/acme", "ledger", None),
        ("crm/acme", "results/x", None),
        ("crm/acme", "/", None),
        ("", "exports", None),
    ] {
        assert_eq!(
            place(root, folder, path).ok().as_deref(),
            wanted.map(Path::new),
            "{folder} {path}"
        );
    }
}

#[test]
fn links_and_empty_or_absent_folders_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(list(folder.path(), None), Err(TransferError::Empty(_))));
    assert!(matches!(
        list(&folder.path().join("no"), None),
        Err(TransferError::Absent(_))
    ));
    write(folder.path(), "a.csv", "1");
    symlink("/etc/passwd", folder.path().join("b.csv")).unwrap();
    let refused = list(folder.path(), None).unwrap_err();
    assert!(refused.to_string().contains("b.csv"), "{refused}");
}

#[test]
fn a_file_that_changes_meanwhile_is_not_sent_as_if_it_were_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "12345");
    let parcels = list(folder.path(), None).unwrap();
    for text in ["123456", "1234"] {
        write(folder.path(), "a.csv", text);
        let refused = pack(&parcels, Vec::new(), &mut silent());
        assert!(matches!(refused, Err(TransferError::Changed(_))));
    }
}

#[test]
fn results_come_back_alone_or_with_everything() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(root.path(), "crm/acme/results/scope.md", "# scope");
    write(root.path(), "crm/acme/results/contacts/rejected.csv", "key;error\n");
    write(root.path(), "crm/acme/handover/automations.csv", "key,name\n");
    write(root.path(), "crm/acme/ledger/1", "x");
    for (all, files) in [(false, 3), (true, 4)] {
        let mut wire = Vec::new();
        send(root.path(), "crm/acme", all, &mut wire, &b"got it\n"[..]).unwrap();
        let mut input = &wire[..];
        let manifest = unpack(&mut input, &into.path().join(files.to_string()), &mut silent()).unwrap();
        assert_eq!(manifest.files(), files);
        assert_eq!(line(input).unwrap(), format!("sent {}", manifest.digest()));
        assert_eq!(
            read(into.path().join(files.to_string()).join("results/scope.md")),
            "# scope"
        );
        assert_eq!(
            read(into.path().join(files.to_string()).join("handover/automations.csv")),
            "key,name\n"
        );
    }
    assert!(matches!(
        send(root.path(), "crm/other", false, Vec::new(), &b""[..]),
        Err(TransferError::Absent(_))
    ));
    assert!(matches!(
        send(root.path(), "../x", false, Vec::new(), &b""[..]),
        Err(TransferError::Name(_))
    ));
}

#[test]
fn a_name_that_no_worker_could_read_and_a_file_for_a_folder_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("new\nline.csv");
    fs::write(&file, "id\n").unwrap();
    assert!(matches!(list(root.path(), None), Err(TransferError::Name(name)) if name == "new\nline.csv"));
    assert!(matches!(list(&file, None), Err(TransferError::NoFolder(_))));
}

#[test]
fn a_digest_sees_every_byte_every_name_and_no_order() {
    let manifest = |files: &[(&str, u64, &str)]| Manifest {
        files: files
            .iter()
            .map(|(name, size, hash)| ((*name).to_owned(), *size, (*hash).to_owned()))
            .collect(),
    };
    let one = manifest(&[("a", 1, "x"), ("b", 2, "y")]);
    assert_eq!(one.digest(), manifest(&[("b", 2, "y"), ("a", 1, "x")]).digest());
    for other in [
        manifest(&[("a", 1, "x")]),
        manifest(&[("a", 1, "z"), ("b", 2, "y")]),
        manifest(&[("c", 1, "x"), ("b", 2, "y")]),
    ] {
        assert_ne!(one.digest(), other.digest());
    }
    assert_eq!((one.files(), one.bytes()), (2, 3));
}
