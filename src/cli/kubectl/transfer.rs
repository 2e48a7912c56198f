//! What travels between a laptop and a workspace, on both ends: regular files in a tar, then one line with the digest of
//! what was sent or has arrived. Nothing is put in its place before both ends agree on it.
//!
//! The pod's end runs [`PodCommand`]; its other end is in `carry`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::{
    api::{RUNS_OWN, WORKSPACE_DIR},
    chain::Chain,
    model::{Digest, digest::hex},
};

/// What the pod of `push` and `results` runs. Not for people.
#[derive(clap::Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum PodCommand {
    /// Waits to be told to stop.
    #[command(hide = true)]
    PodIdle {
        /// Ends by itself after so many seconds.
        #[arg(long)]
        seconds: u64,
    },
    /// Takes export files from standard input.
    #[command(hide = true)]
    PodReceive {
        /// The Migration's folder in the workspace, `<namespace>/<name>`.
        folder: String,
        /// The folder below it that is replaced.
        path: String,
    },
    /// Sends files of the workspace to standard output.
    #[command(hide = true)]
    PodSend {
        /// The Migration's folder in the workspace, `<namespace>/<name>`.
        folder: String,
        /// Everything rather than the results.
        #[arg(long)]
        all: bool,
    },
}

/// Folders that people are sent.
pub const RESULTS: [&str; 2] = ["results", "handover"];
/// Longest line that ends a transfer.
const LINE_MAX: usize = 512;

/// Why files did not travel.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There is nothing of that name.
    #[error("there is nothing at {}", .0.display())]
    Absent(PathBuf),
    /// A file where a folder is wanted.
    #[error("{} is a file: give the folder that it is in", .0.display())]
    NoFolder(PathBuf),
    /// A folder without files.
    #[error("there are no files in {}", .0.display())]
    Empty(PathBuf),
    /// Something that is neither a file nor a folder.
    #[error("{} is no regular file or folder (links are not followed): remove it or copy what it stands for", .0.display())]
    NotRegular(PathBuf),
    /// A name that cannot be sent or must not be written.
    #[error("{0:?} is not a name that may be written there: rename it")]
    Name(String),
    /// A folder that is the run's own.
    #[error(
        "spec.source.files.path {0:?} lies in a folder that runs keep their own files in: choose another, such as exports/"
    )]
    Ours(String),
    /// A file that became longer or shorter meanwhile.
    #[error("{} changed while it was sent: try again when nobody writes to it", .0.display())]
    Changed(PathBuf),
    /// Somebody else does the same.
    #[error("another push to {} is under way", .0.display())]
    Busy(PathBuf),
    /// It arrived otherwise than it was sent.
    #[error("what arrived is not what was sent ({arrived}, not {sent}): nothing was replaced, try again")]
    Differs {
        /// Digest at the end that received.
        arrived: String,
        /// Digest at the end that sent.
        sent: String,
    },
    /// The other end went away.
    #[error("the connection ended early, and nothing was put in place: try again")]
    Cut,
    /// Reading or writing failed.
    #[error("{}", .path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl TransferError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// A file to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Where it is.
    pub path: PathBuf,
    /// Its name on the way: relative, with slashes.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What was sent or has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    files: Vec<(String, u64, String)>,
}

impl Manifest {
    /// Number of files.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes in all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, size, _)| size).sum()
    }

    /// SHA-256 over names, sizes and SHA-256 of all files: equal only where every byte is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut lines: Vec<String> = self
            .files
            .iter()
            .map(|(name, size, hash)| format!("{hash} {size} {name}\n"))
            .collect();
        lines.sort();
        Digest::of(lines.concat().as_bytes())
    }
}

/// Runs the pod's end; the answer is the exit code.
pub async fn pod(command: PodCommand) -> u8 {
    let root = Path::new(WORKSPACE_DIR);
    let done = match command {
        PodCommand::PodIdle { seconds } => return idle(Duration::from_secs(seconds)).await,
        PodCommand::PodReceive { folder, path } => receive(root, &folder, &path, io::stdin().lock(), io::stdout()),
        PodCommand::PodSend { folder, all } => {
            let output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            send(root, &folder, all, output, io::stdin().lock())
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{}", Chain(&error));
            1
        }
    }
}

async fn idle(longest: Duration) -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return 1;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        () = tokio::time::sleep(longest) => {}
    }
    0
}

/// Every file of a folder, by name, `but` for what lies in a folder below it; links and devices are refused, not skipped.
///
/// # Errors
/// When something in it cannot be sent, or nothing is there.
pub fn list(folder: &Path, but: Option<&Path>) -> Result<Vec<Parcel>, TransferError> {
    let mut parcels = Vec::new();
    let mut open = vec![(folder.to_path_buf(), String::new())];
    if folder.is_file() {
        return Err(TransferError::NoFolder(folder.to_path_buf()));
    }
    if !folder.is_dir() {
        return Err(TransferError::Absent(folder.to_path_buf()));
    }
    while let Some((place, prefix)) = open.pop() {
        for entry in fs::read_dir(&place).map_err(TransferError::io(&place))? {
            let path = entry.map_err(TransferError::io(&place))?.path();
            let leaf = path.file_name().unwrap_or_default();
            let leaf = leaf
                .to_str()
                .filter(|leaf| !leaf.contains(char::is_control))
                .ok_or_else(|| TransferError::Name(leaf.to_string_lossy().into_owned()))?;
            let name = format!("{prefix}{leaf}");
            let seen = fs::symlink_metadata(&path).map_err(TransferError::io(&path))?;
            if but.is_some_and(|but| fs::canonicalize(&path).is_ok_and(|path| path == but)) {
                continue;
            }
            if seen.is_dir() {
                open.push((path, format!("{name}/")));
            } else if seen.is_file() {
                let size = seen.len();
                parcels.push(Parcel { path, name, size });
            } else {
                return Err(TransferError::NotRegular(path));
            }
        }
    }
    if parcels.is_empty() {
        return Err(TransferError::Empty(folder.to_path_buf()));
    }
    parcels.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(parcels)
}

/// Reads through, and counts and hashes what passes.
struct Counted<'a, R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    told: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        (self.told)(read as u64);
        Ok(read)
    }
}

/// Writes files as a tar; `told` hears the bytes as they go.
///
/// # Errors
/// When one cannot be read, is another size than it was, or the other end is gone.
pub fn pack<W: Write>(
    parcels: &[Parcel],
    output: W,
    told: &mut dyn FnMut(u64),
) -> Result<(Manifest, W), TransferError> {
    let mut manifest = Manifest::default();
    let mut archive = tar::Builder::new(output);
    for Parcel { path, name, size } in parcels {
        let file = File::open(path).map_err(TransferError::io(path))?;
        let now = file.metadata().map_err(TransferError::io(path))?;
        if !now.is_file() {
            return Err(TransferError::NotRegular(path.clone()));
        }
        if now.len() != *size {
            return Err(TransferError::Changed(path.clone()));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(*size);
        header.set_mode(0o640);
        let mut counted = Counted {
            inner: file.take(*size),
            hash: Sha256::new(),
            bytes: 0,
            told,
        };
        archive
            .append_data(&mut header, name, &mut counted)
            .map_err(TransferError::io(path))?;
        let (bytes, hash) = (counted.bytes, hex(&counted.hash.finalize()));
        let more = counted
            .inner
            .into_inner()
            .read(&mut [0])
            .map_err(TransferError::io(path))?;
        if bytes != *size || more > 0 {
            return Err(TransferError::Changed(path.clone()));
        }
        manifest.files.push((name.clone(), bytes, hash));
    }
    let output = archive
        .into_inner()
        .map_err(TransferError::io(Path::new("the connection")))?;
    Ok((manifest, output))
}

/// Writes the files of a tar into a folder, which is made. Only regular files, only below the folder, none twice.
///
/// # Errors
/// When the tar holds anything else, ends early, or a file cannot be written.
pub fn unpack(input: impl Read, into: &Path, told: &mut dyn FnMut(u64)) -> Result<Manifest, TransferError> {
    let wire = Path::new("the connection");
    make_folder(into)?;
    let mut manifest = Manifest::default();
    let mut archive = tar::Archive::new(input);
    for entry in archive.entries().map_err(TransferError::io(wire))? {
        let entry = entry.map_err(TransferError::io(wire))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(TransferError::NotRegular(name.into()));
        }
        let relative = inside(&name).ok_or_else(|| TransferError::Name(name.clone()))?;
        let path = into.join(relative);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o660)
            .open(&path)
            .map_err(TransferError::io(&path))?;
        let size = entry.size();
        let mut counted = Counted {
            inner: entry,
            hash: Sha256::new(),
            bytes: 0,
            told,
        };
        io::copy(&mut counted, &mut file).map_err(TransferError::io(&path))?;
        // a tar that is cut within a file reads as a shorter file
        if counted.bytes != size {
            return Err(TransferError::Cut);
        }
        file.sync_all().map_err(TransferError::io(&path))?;
        manifest
            .files
            .push((name, counted.bytes, hex(&counted.hash.finalize())));
    }
    Ok(manifest)
}

/// A folder that the worker's user and group can use, whoever of them makes it.
fn make_folder(path: &Path) -> Result<(), TransferError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o770)
        .create(path)
        .map_err(TransferError::io(path))
}

/// A relative path that stays where it is put.
fn inside(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !name.is_empty() && !name.contains(['\0', '\\']) && !name.ends_with('/')).then(|| path.to_path_buf())
}

/// Where exports lie: `<root>/<namespace>/<name>/<path>`, never a folder of ours.
fn place(root: &Path, folder: &str, path: &str) -> Result<PathBuf, TransferError> {
    let refused = || TransferError::Name(format!("{folder}/{path}"));
    let (folder, path) = (inside(folder).ok_or_else(refused)?, path.trim_end_matches('/'));
    let relative = inside(path).ok_or_else(refused)?;
    let first = relative.components().next().map(|part| part.as_os_str().to_owned());
    if first.is_none_or(|first| RUNS_OWN.iter().any(|own| first == *own)) {
        return Err(TransferError::Ours(path.to_owned()));
    }
    Ok(root.join(folder).join(relative))
}

/// The pod's end of `push`: takes a tar, tells what arrived, and replaces the folder when the other end agrees.
///
/// # Errors
/// When anything goes wrong; then the old folder is as it was.
pub fn receive(
    root: &Path,
    folder: &str,
    path: &str,
    mut input: impl Read,
    mut output: impl Write,
) -> Result<(), TransferError> {
    let wire = Path::new("the connection");
    let target = place(root, folder, path)?;
    let parent = target.parent().unwrap_or(root);
    make_folder(parent)?;
    let lock = File::open(parent).map_err(TransferError::io(parent))?;
    // a file system without locks is no reason not to push
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        return Err(TransferError::Busy(target));
    }
    let (new, old) = (beside(&target, "new"), beside(&target, "old"));
    mend(&target, &new, &old)?;
    let swapped = unpack(&mut input, &new, &mut |_| {}).and_then(|manifest| {
        let digest = manifest.digest();
        writeln!(output, "arrived {digest}")
            .and_then(|()| output.flush())
            .map_err(TransferError::io(wire))?;
        let answer = line(&mut input).map_err(TransferError::io(wire))?;
        if answer != format!("keep {digest}") {
            return Err(TransferError::Cut);
        }
        swap(&target, &new, &old)
    });
    if swapped.is_err() {
        remove(&new)?;
        return swapped;
    }
    lock.sync_all().map_err(TransferError::io(parent))?;
    writeln!(output, "kept {}", target.display())
        .and_then(|()| output.flush())
        .map_err(TransferError::io(wire))
}

/// The pod's end of `results`: a tar, then the digest of what it holds. Ends only when the other end says it has it all:
/// what is still on its way when a process ends can be lost.
///
/// # Errors
/// When there is nothing to send, or it cannot be read.
pub fn send(root: &Path, folder: &str, all: bool, output: impl Write, input: impl Read) -> Result<(), TransferError> {
    let folder = root.join(inside(folder).ok_or_else(|| TransferError::Name(folder.to_owned()))?);
    let mut parcels = list(&folder, None)?;
    let result = |name: &str| name.split_once('/').is_some_and(|(head, _)| RESULTS.contains(&head));
    parcels.retain(|parcel| all || result(&parcel.name));
    if parcels.is_empty() {
        return Err(TransferError::Empty(folder.join("results")));
    }
    let (manifest, mut output) = pack(&parcels, output, &mut |_| {})?;
    writeln!(output, "sent {}", manifest.digest())
        .and_then(|()| output.flush())
        .map_err(TransferError::io(Path::new("the connection")))?;
    line(input).map(drop).map_err(|_| TransferError::Cut)
}

/// The line after a tar; the zeros that fill the tar up are passed over.
///
/// # Errors
/// When the other end is gone, or says more than a line.
pub fn line(mut input: impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        input.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => break,
            0 if text.is_empty() => {}
            _ if text.len() == LINE_MAX => return Err(io::ErrorKind::InvalidData.into()),
            other => text.push(other),
        }
    }
    String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// A name beside a folder, hidden.
fn beside(target: &Path, word: &str) -> PathBuf {
    let leaf = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{leaf}.{word}"))
}

/// Clears away what a push that was killed left: an old folder whose successor never came is put back.
fn mend(target: &Path, new: &Path, old: &Path) -> Result<(), TransferError> {
    remove(new)?;
    if old.exists() && !target.exists() {
        return fs::rename(old, target).map_err(TransferError::io(target));
    }
    remove(old)
}

/// The new folder takes the old one's place; the old one goes only when it has.
fn swap(target: &Path, new: &Path, old: &Path) -> Result<(), TransferError> {
    if target.exists() {
        fs::rename(target, old).map_err(TransferError::io(target))?;
    }
    if let Err(error) = fs::rename(new, target) {
        // best effort: the next push puts it back otherwise
        let _ = fs::rename(old, target);
        return Err(TransferError::io(target)(error));
    }
    remove(old)
}

fn remove(folder: &Path) -> Result<(), TransferError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TransferError::io(folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
