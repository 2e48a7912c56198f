//! Our ends of `push` and `results`: files to and from a process in a pod, of which both sides say the digest.

use std::{
    io::{self, BufWriter, Read, Write},
    path::PathBuf,
    time::Duration,
};

use indicatif::ProgressBar;
use kube::api::AttachedProcess;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use super::CHUNK;
use crate::cli::kubectl::{
    Error,
    transfer::{self, Manifest, Parcel, TransferError},
};

/// How long the end of a process may be awaited once its work is known to be over.
const ENDING: Duration = Duration::from_secs(5);
/// Chunks between the disk and the network.
const QUEUE: usize = 8;

/// What a process says when it fails, and that it has ended.
struct Fate {
    said: JoinHandle<String>,
}

impl Fate {
    fn of(process: &mut AttachedProcess) -> Self {
        let stderr = process.stderr();
        let said = tokio::spawn(async move {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                // what was read before it broke is still worth telling
                let _ = stderr.take(4096).read_to_end(&mut text).await;
            }
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        Self { said }
    }

    /// Where the connection ended early, what the other end said about it.
    async fn explain<T>(self, outcome: Result<T, TransferError>) -> Result<T, Error> {
        let Err(TransferError::Cut) = outcome else {
            return Ok(outcome?);
        };
        match tokio::time::timeout(ENDING, self.said).await {
            Ok(Ok(text)) if !text.is_empty() => Err(Error::Refused(text)),
            _ => Err(TransferError::Cut.into()),
        }
    }
}

/// Our end of `push`.
pub(super) async fn deliver(
    mut process: AttachedProcess,
    parcels: Vec<Parcel>,
    bar: ProgressBar,
) -> Result<Manifest, Error> {
    let fate = Fate::of(&mut process);
    let ended = process.take_status();
    let (Some(stdin), Some(stdout), Some(ended)) = (process.stdin(), process.stdout(), ended) else {
        return Err(TransferError::Cut.into());
    };
    let mut work = std::pin::pin!(hand_over(stdin, stdout, parcels, bar));
    // a process that is gone reads no more, and nothing else would tell
    let outcome = tokio::select! {
        biased;
        outcome = &mut work => outcome,
        _ = ended => match tokio::time::timeout(ENDING, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TransferError::Cut),
        },
    };
    fate.explain(outcome).await
}

async fn hand_over(
    mut stdin: impl AsyncWrite + Unpin,
    mut stdout: impl AsyncRead + Unpin,
    parcels: Vec<Parcel>,
    bar: ProgressBar,
) -> Result<Manifest, TransferError> {
    let cut = |_: io::Error| TransferError::Cut;
    let (sender, mut chunks) = mpsc::channel(QUEUE);
    let packing = tokio::task::spawn_blocking(move || {
        let output = BufWriter::with_capacity(CHUNK, ChunkWriter(sender));
        let (manifest, mut output) = transfer::pack(&parcels, output, &mut |bytes| bar.inc(bytes))?;
        output.flush().map_err(cut)?;
        Ok(manifest)
    });
    while let Some(chunk) = chunks.recv().await {
        stdin.write_all(&chunk).await.map_err(cut)?;
    }
    let manifest: Manifest = packing.await.map_err(|_| TransferError::Cut)??;
    let sent = manifest.digest().to_string();
    let arrived = async_line(&mut stdout).await?;
    let arrived = arrived.strip_prefix("arrived ").ok_or(TransferError::Cut)?.to_owned();
    if arrived != sent {
        return Err(TransferError::Differs { arrived, sent });
    }
    stdin
        .write_all(format!("keep {sent}\n").as_bytes())
        .await
        .map_err(cut)?;
    stdin.flush().await.map_err(cut)?;
    let kept = async_line(&mut stdout).await?;
    kept.starts_with("kept ").then_some(manifest).ok_or(TransferError::Cut)
}

/// Our end of `results`.
pub(super) async fn fetch(mut process: AttachedProcess, into: PathBuf, bar: ProgressBar) -> Result<Manifest, Error> {
    let fate = Fate::of(&mut process);
    let (Some(mut stdin), Some(stdout)) = (process.stdin(), process.stdout()) else {
        return Err(TransferError::Cut.into());
    };
    let (sender, chunks) = mpsc::channel(QUEUE);
    let mut unpacking = tokio::task::spawn_blocking(move || {
        let mut input = ChunkReader {
            chunks,
            open: Vec::new(),
            read: 0,
        };
        let manifest = transfer::unpack(&mut input, &into, &mut |bytes| bar.inc(bytes))?;
        let sent = transfer::line(input).map_err(|_| TransferError::Cut)?;
        let (sent, arrived) = (
            sent.trim_start_matches("sent ").to_owned(),
            manifest.digest().to_string(),
        );
        if sent == arrived {
            Ok(manifest)
        } else {
            Err(TransferError::Differs { arrived, sent })
        }
    });
    let outcome = tokio::select! {
        outcome = &mut unpacking => outcome,
        () = feed(stdout, sender) => unpacking.await,
    };
    let outcome = outcome.unwrap_or(Err(TransferError::Cut));
    if outcome.is_ok() {
        // the pod ends now; where it is gone already, nothing is lost
        let _ = stdin.write_all(b"got it\n").await;
    }
    fate.explain(outcome).await
}

/// Passes on what comes until it ends; an end that comes too early is seen by who unpacks.
async fn feed(mut stdout: impl AsyncRead + Unpin, sender: mpsc::Sender<Vec<u8>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = stdout.read(&mut chunk).await.unwrap_or(0);
        chunk.truncate(read);
        if read == 0 || sender.send(chunk).await.is_err() {
            break;
        }
    }
}

async fn async_line(input: &mut (impl AsyncRead + Unpin)) -> Result<String, TransferError> {
    let mut text = Vec::new();
    loop {
        match input.read_u8().await.map_err(|_| TransferError::Cut)? {
            b'\n' => return String::from_utf8(text).map_err(|_| TransferError::Cut),
            byte if text.len() < 4096 => text.push(byte),
            _ => return Err(TransferError::Cut),
        }
    }
}

/// Hands what is written to the network; fails once nobody reads it.
struct ChunkWriter(mpsc::Sender<Vec<u8>>);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(bytes.to_vec())
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what came from the network.
struct ChunkReader {
    chunks: mpsc::Receiver<Vec<u8>>,
    open: Vec<u8>,
    read: usize,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.open.len() {
            let Some(chunk) = self.chunks.blocking_recv() else {
                return Ok(0);
            };
            (self.open, self.read) = (chunk, 0);
        }
        let more = Read::read(&mut &self.open[self.read..], buffer)?;
        self.read += more;
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn bytes_pass_the_channel_in_any_portions() {
        let (sender, chunks) = mpsc::channel(QUEUE);
        let mut writer = ChunkWriter(sender);
        let mut reader = ChunkReader {
            chunks,
            open: Vec::new(),
            read: 0,
        };
        writer.write_all(b"hello ").unwrap();
        writer.write_all(b"world").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.by_ref().take(3).read_to_string(&mut text).unwrap();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello world");
    }

    #[test]
    fn a_writer_whose_reader_is_gone_ends() {
        let (sender, chunks) = mpsc::channel(1);
        drop(chunks);
        assert!(ChunkWriter(sender).write_all(b"x").is_err());
    }

    /// Both ends of a push over pipes, as `exec` connects them.
    async fn pushed(root: &Path, parcels: Vec<Parcel>, spoil: bool) -> Result<Manifest, TransferError> {
        let (stdin, their_stdin) = tokio::io::duplex(100);
        let (stdout, mut their_stdout) = tokio::io::duplex(100);
        let root = root.to_path_buf();
        let pod = async {
            let (sender, chunks) = mpsc::channel(QUEUE);
            let mut their_stdin = their_stdin;
            tokio::spawn(async move {
                let mut chunk = vec![0; 700];
                while let Ok(read @ 1..) = their_stdin.read(&mut chunk).await {
                    let mut bytes = chunk[..read].to_vec();
                    if spoil {
                        bytes
                            .iter_mut()
                            .filter(|byte| **byte == b'1')
                            .for_each(|byte| *byte = b'2');
                    }
                    if sender.send(bytes).await.is_err() {
                        break;
                    }
                }
            });
            let (out, mut said) = mpsc::channel(QUEUE);
            let receiving = tokio::task::spawn_blocking(move || {
                let input = ChunkReader {
                    chunks,
                    open: Vec::new(),
                    read: 0,
                };
                transfer::receive(&root, "crm/acme", "exports", input, ChunkWriter(out))
            });
            while let Some(chunk) = said.recv().await {
                their_stdout.write_all(&chunk).await.unwrap();
            }
            drop(their_stdout);
            receiving.await.unwrap()
        };
        let us = hand_over(stdin, stdout, parcels, ProgressBar::hidden());
        let (_, outcome) = tokio::join!(pod, us);
        outcome
    }

    #[tokio::test]
    async fn both_ends_agree_on_what_travelled_or_nothing_is_replaced() {
        let (source, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(source.path().join("contacts.csv"), "x".repeat(200_000)).unwrap();
        fs::write(source.path().join("deals.csv"), "plain").unwrap();
        let manifest = pushed(root.path(), transfer::list(source.path(), None).unwrap(), false)
            .await
            .unwrap();
        assert_eq!((manifest.files(), manifest.bytes()), (2, 200_005));
        let contacts = root.path().join("crm/acme/exports/contacts.csv");
        assert_eq!(fs::metadata(&contacts).unwrap().len(), 200_000);

        let spoilt = tempfile::tempdir().unwrap();
        fs::write(spoilt.path().join("contacts.csv"), "a 1 that becomes a 2 on its way").unwrap();
        let refused = pushed(root.path(), transfer::list(spoilt.path(), None).unwrap(), true)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, TransferError::Differs { .. } | TransferError::Cut),
            "{refused}"
        );
        assert_eq!(fs::metadata(&contacts).unwrap().len(), 200_000);
    }
}
