//! `crmferry run`: a whole Migration on this machine. The life is [`crate::lifecycle`]'s, the work is
//! [`crate::worker`]'s; here is only what a cluster would do between them.

pub mod decide;
pub mod executor;
pub mod prepare;
pub mod show;

use std::os::unix::fs::PermissionsExt as _;
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use clap::ValueEnum;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    error::{Error, Exit},
    local::{self, Approval, Folder, Identity},
    manifests::{self, Manifests},
    report, signals,
};
use crate::{
    api::{
        MigrationStatus, Phase,
        migration::{Gate, GateState},
    },
    lifecycle::queue,
    report::{
        books,
        status::{self, View},
        whole,
    },
    source::Apis,
    worker::destination::Door,
    workspace::{self, Workspace},
};
use decide::Act;
use executor::{Executor, Setup};
use show::Show;

/// Reasons that are printed at the end; the report has all.
const TOP_REASONS: usize = 8;

/// Arguments of `crmferry run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files and folders with a Migration and its MappingSpec; - is standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Folder that keeps everything between runs; .crmferry/<name> where not given.
    #[arg(short, long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Where records go: an Odoo in memory that is kept in the workspace, or the Odoo of the manifest.
    #[arg(long, value_enum, default_value_t = Destination::Memory)]
    pub destination: Destination,
    /// Folder with a folder for each secretRef, and in it a file for each key.
    #[arg(long, value_name = "DIR", required_if_eq("destination", "odoo"))]
    pub secrets: Option<PathBuf>,
    /// Folder of export files to copy into the workspace first.
    #[arg(long, value_name = "DIR")]
    pub exports: Option<PathBuf>,
    /// Gate to approve without asking.
    #[arg(long, value_enum, value_name = "GATE")]
    pub approve: Vec<GateName>,
    /// Namespace of the Migration, where the manifest names none.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// What is asked of the Migration.
    #[command(flatten)]
    pub request: Request,
}

/// The verbs, one at a time.
#[derive(clap::Args, Debug)]
#[group(multiple = false)]
pub struct Request {
    /// Try the phase again; `from-extract` reads the source again and goes through everything after it.
    #[arg(long, value_name = "from-extract", num_args = 0..=1, default_missing_value = "", value_parser = ["", "from-extract"], hide_possible_values = true)]
    pub retry: Option<String>,
    /// Give the run up; what is in Odoo stays.
    #[arg(long)]
    pub cancel: bool,
    /// Take the MappingSpec as it is now.
    #[arg(long)]
    pub replan: bool,
    /// Take the lock in Odoo over from whoever holds it.
    #[arg(long)]
    pub unlock: bool,
}

impl Request {
    fn verb(&self) -> Option<String> {
        match (&self.retry, self.cancel, self.replan, self.unlock) {
            (Some(argument), ..) => Some(format!("retry {argument}").trim().to_owned()),
            (_, true, ..) => Some("cancel".into()),
            (_, _, true, _) => Some("replan".into()),
            (.., true) => Some("unlock".into()),
            _ => None,
        }
    }
}

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Destination {
    /// An Odoo in memory.
    Memory,
    /// The Odoo of the manifest.
    Odoo,
}

impl Destination {
    const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Odoo => "odoo",
        }
    }
}

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GateName {
    /// What was rehearsed may be sent.
    Mapping,
    /// The cutover may happen.
    Cutover,
}

impl GateName {
    const fn word(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Cutover => "cutover",
        }
    }
}

/// Carries the command out.
///
/// # Errors
/// When a manifest is invalid, the workspace is another's, or the folder fails.
pub async fn run(args: Args) -> Result<Exit, Error> {
    let manifests = read(&args)?;
    let name = manifests.the_migration()?.metadata.name.clone().unwrap_or_default();
    let root = args
        .workspace
        .clone()
        .unwrap_or_else(|| PathBuf::from(".crmferry").join(name));
    let _lock = workspace::exclusive(&root)?;
    let folder = Folder::new(&root);
    let stop = signals::stop().map_err(Error::outside("listen to signals"))?;
    let mut show = Show::here(&invocation(&args), &args.files);
    let executor = open(&args, &manifests, folder, &mut show).await?;
    let mut session = Session {
        executor,
        show,
        invocation: invocation(&args),
        files: args.files,
        exports: args.exports,
        approve: args.approve,
        stop,
    };
    let exit = session.live().await?;
    session.close(exit)
}

/// The manifests. To cancel, the one that the workspace keeps will do, whatever became of the files.
fn read(args: &Args) -> Result<Manifests, Error> {
    let read = manifests::read(&args.files);
    let (Err(Error::Invalid(_)), true, Some(workspace)) = (&read, args.request.cancel, &args.workspace) else {
        return read;
    };
    let Some(identity) = Folder::new(workspace).identity()? else {
        return read;
    };
    Ok(Manifests {
        migrations: vec![report::migration(&identity, None, BTreeMap::new())],
        ..Manifests::default()
    })
}

/// Opens the folder: identity, exports, destination, request.
async fn open(args: &Args, manifests: &Manifests, folder: Folder, show: &mut Show) -> Result<Executor, Error> {
    let manifest = manifests.the_migration()?;
    let namespace = manifest
        .metadata
        .namespace
        .clone()
        .unwrap_or_else(|| args.namespace.clone());
    let status = folder.status()?;
    let word = args.destination.word();
    let found = folder.identity()?;
    let begun = status.as_ref().filter(|_| found.is_none());
    // what was sealed and the lock in Odoo still name whose folder it is
    let sealed = begun.map(|status| folder.sealed_uid(status)).transpose()?.flatten();
    let cancels = args.request.cancel;
    let mut identity = prepare::identify(found, manifest, &namespace, word, status.as_ref(), cancels)?;
    identity.uid = sealed.unwrap_or(identity.uid);
    if let Some(exports) = &args.exports {
        let path = identity.spec.source.files_path().ok_or_else(|| {
            Error::Usage("--exports needs source.files in the manifest: the folder of the workspace they go to".into())
        })?;
        prepare::push(&folder, path, exports)?;
        identity.pushed = Some(Timestamp::now());
    }
    folder.put_identity(&identity)?;
    let workspace = Workspace::folder(&folder.path(""))?;
    // it holds people's data: exports, snapshot, ledger, results
    let place = folder.path("");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o700)).map_err(Error::io("protect", &place))?;
    show.say(first_line(args, &identity, &folder));
    let (door, memory) = door(args, &identity, &folder, &workspace, status.as_ref(), show).await?;
    let apis = apis(args, &identity)?;
    let asked = args.request.verb();
    let request = prepare::request(asked.as_deref(), status.as_ref(), Timestamp::now());
    show.say(second_line(&identity, status.as_ref(), request.as_deref()));
    Executor::new(Setup {
        mapping: manifests::seen(manifests.mapping(&identity.spec.mapping_spec_ref.name)),
        mappings: Arc::new(manifests.mappings.clone()),
        folder,
        workspace,
        identity,
        door,
        apis,
        memory,
        request,
        place: format!("{}@{}", user(), said("uname", "-n")),
    })
}

fn first_line(args: &Args, identity: &Identity, folder: &Folder) -> String {
    let odoo = &identity.spec.destination.odoo;
    match args.destination {
        Destination::Memory => format!(
            "Records go to an Odoo in memory, kept in {}; nothing is written to {} (that takes --destination odoo).",
            folder.path(local::MEMORY).display(),
            odoo.url
        ),
        Destination::Odoo => format!("Records go to the database {} at {}.", odoo.database, odoo.url),
    }
}

fn second_line(identity: &Identity, status: Option<&MigrationStatus>, request: Option<&str>) -> String {
    let run = status.map_or(0, |status| status.run);
    let Identity { namespace, name, .. } = identity;
    match (
        status.map(|status| status.phase),
        request.and_then(|request| request.split(' ').next()),
    ) {
        (None, _) => format!("Migration {namespace}/{name} begins."),
        (Some(_), Some("rerun")) => format!(
            "Migration {namespace}/{name}: run {run} is over; run {} begins, with the same external ids.",
            run + 1
        ),
        (Some(phase), Some(verb)) => format!("Migration {namespace}/{name}, run {run}, in {phase:?}: {verb}."),
        (Some(phase), None) => format!("Migration {namespace}/{name}, run {run}: goes on in {phase:?}."),
    }
}

/// The way to Odoo. An Odoo in memory that is older than the ledgers gets them built again from it.
async fn door(
    args: &Args,
    identity: &Identity,
    folder: &Folder,
    workspace: &Workspace,
    status: Option<&MigrationStatus>,
    show: &mut Show,
) -> Result<(Door, Option<Arc<crate::odoo::memory::Memory>>), Error> {
    let odoo = &identity.spec.destination.odoo;
    if args.destination == Destination::Odoo {
        let secrets = args.secrets.clone().unwrap_or_default();
        let bundle = odoo.ca_bundle.as_ref().map(|bundle| &bundle.config_map_key_ref);
        let ca = bundle
            .map(|reference| secrets.join(&reference.name).join(&reference.key))
            .unwrap_or_default();
        return Ok((
            Door::Server {
                secret: secrets.join(&odoo.secret_ref.name),
                ca,
            },
            None,
        ));
    }
    let (memory, fresh) = local::memory(folder)?;
    let began = |status: &MigrationStatus| status.attempt.is_some() || !status.objects.is_empty();
    if (fresh && status.is_some_and(began)) || was_killed(folder, status)? {
        show.warn("the process before was killed: what its last attempt did is looked up again");
        workspace.drop_ledgers().await?;
    }
    let memory = Arc::new(memory);
    Ok((Door::Memory(memory.clone()), Some(memory)))
}

/// The way to the source's API: the Secret is a folder of --secrets, wherever records go.
fn apis(args: &Args, identity: &Identity) -> Result<Apis, Error> {
    let Some((api, secret)) = identity.spec.source.api() else {
        return Ok(Apis::new(PathBuf::new()));
    };
    let secrets = args.secrets.as_ref().ok_or_else(|| {
        Error::Usage(format!(
            "source.{api} needs --secrets DIR: a folder with the folder {} in it, and in that a file for each key",
            secret.name
        ))
    })?;
    Ok(Apis::new(secrets.join(&secret.name)))
}

/// Whether a process ended within an attempt: it has no last report.
fn was_killed(folder: &Folder, status: Option<&MigrationStatus>) -> Result<bool, Error> {
    let Some(attempt) = status
        .and_then(|status| status.attempt.as_ref())
        .filter(|attempt| attempt.ended.is_none())
    else {
        return Ok(false);
    };
    let report = folder.phase_run(&attempt.name)?.and_then(|run| run.status);
    Ok(report.is_some_and(|report| report.heartbeat.is_some() && report.outcome.is_none()))
}

/// The command line that goes on with the same Migration.
fn invocation(args: &Args) -> String {
    let mut words = vec!["crmferry run".to_owned()];
    words.extend(args.files.iter().map(|file| format!("-f {}", file.display())));
    words.extend(
        args.workspace
            .iter()
            .map(|folder| format!("--workspace {}", folder.display())),
    );
    if args.destination == Destination::Odoo {
        words.push("--destination odoo".to_owned());
    }
    words.extend(
        args.secrets
            .iter()
            .map(|secrets| format!("--secrets {}", secrets.display())),
    );
    words.join(" ")
}

/// One process with one Migration.
struct Session {
    executor: Executor,
    show: Show,
    invocation: String,
    /// The manifests, as given.
    files: Vec<PathBuf>,
    /// The folder that exports were copied from, where it was given.
    exports: Option<PathBuf>,
    approve: Vec<GateName>,
    stop: CancellationToken,
}

impl Session {
    /// Passes until nothing goes on by itself.
    async fn live(&mut self) -> Result<Exit, Error> {
        loop {
            if self.stop.is_cancelled() {
                self.executor.suspend();
            }
            let next = self.executor.pass(&mut self.show)?;
            self.executor.show_progress(&mut self.show)?;
            let status = self.executor.status();
            let window = self.executor.window();
            let (at_work, told) = (self.executor.at_work(), self.stop.is_cancelled());
            match decide::act(&status, window.as_ref(), at_work, told, Timestamp::now()) {
                Act::End(exit) => return Ok(exit),
                Act::Ask(gate) => {
                    if !self.approved(&gate).await? {
                        return Ok(if self.stop.is_cancelled() {
                            Exit::Stopped
                        } else {
                            Exit::AwaitingApproval
                        });
                    }
                }
                Act::Wait => {
                    let at_most = next.look_again.and_then(|time| Duration::try_from(time).ok());
                    tokio::select! {
                        () = self.executor.wait(at_most) => {}
                        () = self.stop.cancelled(), if !told => self.show.say("  … stopping in order; once more stops at once"),
                    }
                }
            }
        }
    }

    /// Whether a gate that waits gets its approval: by `--approve`, or at the terminal.
    async fn approved(&mut self, name: &str) -> Result<bool, Error> {
        let Some(gate) = self.executor.gate(name).filter(|gate| gate.state == GateState::Waiting) else {
            return Ok(false);
        };
        let evidence = local::evidence_path(&gate.name, &gate.sealed.to_string());
        let way = if self.approve.iter().any(|given| given.word() == name) {
            "--approve"
        } else if self.show.can_ask() && self.ask(&gate, &evidence).await? {
            "terminal"
        } else {
            return Ok(false);
        };
        let approval = Approval {
            digest: gate.evidence_digest.clone(),
            user: user(),
            at: Timestamp::now(),
            way: way.to_owned(),
        };
        self.executor.folder().approve(&gate, &approval)?;
        if let Some(anew) = &gate.message {
            self.show.warn(&format!("gate {name}: {anew}"));
        }
        self.show.approved(name, &approval.user, way);
        Ok(true)
    }

    /// Shows what an approval stands on, and asks.
    async fn ask(&mut self, gate: &Gate, evidence: &str) -> Result<bool, Error> {
        self.show.clear();
        let status = self.executor.status();
        let mut text = format!(
            "\nGate {}: what is approved is this.\n\n{}",
            gate.name,
            books::text(&status.objects, false)
        );
        let view = View {
            now: Timestamp::now(),
            colour: false,
            laptop: true,
        };
        text += &status::beside_evidence(&status, &self.executor.folder().phase_runs()?, view);
        let _ = writeln!(
            text,
            "\nEvidence {}\nDigest   {}",
            self.executor.folder().path(evidence).display(),
            gate.evidence_digest
        );
        let _ = write!(text, "Approve {} as {}? [y/N] ", gate.name, user());
        super::print(&text);
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let answer = tokio::select! {
            answer = answer => answer.map_err(Error::outside("ask"))?.map_err(Error::io("read", "the terminal"))?,
            () = self.stop.cancelled() => String::new(),
        };
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Writes the report, and tells how it ended.
    fn close(mut self, exit: Exit) -> Result<Exit, Error> {
        self.show.clear();
        let report = report::write(self.executor.folder())?;
        let status = self.executor.status();
        let mut text = String::from("\n");
        if !report.objects.is_empty() {
            text += &books::text(&report.objects, false);
        }
        for (title, kinds) in whole::REASONS {
            let reasons = report.reasons.iter().filter(|reason| kinds.contains(&reason.kind));
            text += &told(title, reasons.map(whole::sentence));
        }
        text += &told(whole::UNNAMED, report.more_reasons.iter().map(whole::unnamed));
        let at = |name: &str| self.executor.folder().path(name).display().to_string();
        if self.executor.folder().path("results").exists() {
            let _ = writeln!(
                text,
                "\nRecord by record  {}",
                at("results/<object>/{succeeded,failed,rejected,held,noted,unprocessed,reasons}.csv")
            );
        }
        if !report.documents.is_empty() {
            let _ = writeln!(text, "Handed over       {}", at("handover/<document>.csv"));
        }
        let _ = write!(text, "Report            {}\n\n", at("report.md"));
        text += &self.verdict(exit, &status);
        super::print(&text);
        Ok(self.answered(exit, &status))
    }

    /// A request that was refused is no success.
    fn answered(&self, exit: Exit, status: &MigrationStatus) -> Exit {
        let asked = self.executor.request();
        let refused = status
            .last_request
            .as_ref()
            .is_some_and(|a| !a.accepted && Some(a.request.as_str()) == asked);
        if refused && exit == Exit::Completed {
            Exit::Usage
        } else {
            exit
        }
    }

    fn verdict(&self, exit: Exit, status: &MigrationStatus) -> String {
        let waits = |text: &mut String| {
            for wait in &status.waiting_for {
                let message = self.readable(&self.typed(&wait.message), &status.gates);
                let _ = writeln!(text, "  {}: {message}", wait.what);
                if !wait.command.is_empty() {
                    let _ = writeln!(text, "    {}", self.typed(&wait.command));
                }
            }
        };
        let (run, phase) = (status.run, status.phase);
        let mut text = match (exit, phase) {
            (Exit::Completed, Phase::Cancelled) => format!("Run {run} is cancelled; what is in Odoo stays.\n"),
            (Exit::Completed, _) if self.executor.is_dry() => {
                format!("Run {run} is completed, as a dry run: nothing was written to Odoo.\n")
            }
            (Exit::Completed, _) => {
                format!("Run {run} is completed; gates were approved without admission control.\n")
            }
            (Exit::Stopped, _) => {
                // until they are read, exports may not have come over whole
                let exports = self.exports.as_ref().filter(|_| phase <= Phase::Extracting);
                let exports = exports.map_or_else(String::new, |from| format!(" --exports {}", from.display()));
                format!(
                    "Run {run} stopped in {phase:?}. To go on:\n    {}{exports}\n",
                    self.invocation
                )
            }
            (Exit::AwaitingApproval, _) => format!("Run {run} waits in {phase:?}:\n"),
            _ if run == 0 => "It cannot begin:\n".to_owned(),
            _ => format!("Run {run} cannot go on in {phase:?}:\n"),
        };
        if exit == Exit::Completed {
            for sentence in queue::sentences(&status.queue) {
                let _ = writeln!(text, "  Not in Odoo: {sentence}");
            }
        }
        if !matches!(exit, Exit::Completed | Exit::Stopped) {
            waits(&mut text);
        }
        text
    }

    /// A command as it can be typed here.
    fn typed(&self, command: &str) -> String {
        typed(command, &self.invocation, &self.files)
    }

    /// A message with the file that holds the evidence, where it names the ConfigMap of a cluster.
    fn readable(&self, message: &str, gates: &[Gate]) -> String {
        let sealed = gates.iter().filter(|gate| !gate.evidence.is_empty());
        sealed.fold(message.to_owned(), |message, gate| {
            let file = self
                .executor
                .folder()
                .path(local::evidence_path(&gate.name, &gate.sealed.to_string()));
            message.replace(&gate.evidence, &file.display().to_string())
        })
    }
}

/// A command of [`crate::lifecycle::verbs`] with this Migration's files in it.
pub(super) fn typed(command: &str, invocation: &str, files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    command
        .replace("crmferry run <manifest>", invocation)
        .replace("<manifest>", &files.join(" "))
}

/// The operating system's name of who runs this.
fn user() -> String {
    said("id", "-un")
}

/// The first sentences under their heading; nothing where there are none.
fn told(title: &str, sentences: impl Iterator<Item = String>) -> String {
    let sentences: Vec<String> = sentences.collect();
    if sentences.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}:\n");
    for sentence in sentences.iter().take(TOP_REASONS) {
        text.extend(["  ", sentence, "\n"]);
    }
    if let Some(more) = sentences.len().checked_sub(TOP_REASONS).filter(|more| *more > 0) {
        text.extend(["  and ", &more.to_string(), " more, in the report\n"]);
    }
    text
}

/// What a program of the operating system says.
fn said(program: &str, option: &str) -> String {
    let asked = std::process::Command::new(program).arg(option).output();
    let answered = asked.ok().filter(|output| output.status.success());
    let answer = answered.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    answer
        .filter(|answer| !answer.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        api::Migration,
        mapping::document::{self, Document},
    };

    /// A small valid Migration.
    pub fn manifest() -> Migration {
        let text = "apiVersion: crmferry.io/v1alpha1\nkind: Migration\nmetadata: {name: acme}\nspec:\n  \
                    mappingSpecRef: {name: m}\n  source: {account: acme, files: {path: exports/}}\n  destination:\n    \
                    odoo: {url: 'https://o', database: d, secretRef: {name: s}}\n  \
                    workspace: {persistentVolumeClaim: {claimName: c}}\n";
        match document::parse(text, "test").unwrap().remove(0) {
            Document::Migration(migration) => *migration,
            other => panic!("{other:?}"),
        }
    }

    fn request(retry: Option<&str>, cancel: bool, replan: bool, unlock: bool) -> Option<String> {
        Request {
            retry: retry.map(Into::into),
            cancel,
            replan,
            unlock,
        }
        .verb()
    }

    #[test]
    fn flags_become_the_verbs_of_the_request() {
        assert_eq!(request(None, false, false, false), None);
        assert_eq!(request(Some(""), false, false, false).as_deref(), Some("retry"));
        assert_eq!(
            request(Some("from-extract"), false, false, false).as_deref(),
            Some("retry from-extract")
        );
        assert_eq!(request(None, true, false, false).as_deref(), Some("cancel"));
        assert_eq!(request(None, false, true, false).as_deref(), Some("replan"));
        assert_eq!(request(None, false, false, true).as_deref(), Some("unlock"));
    }
}
