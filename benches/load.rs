//! How fast contacts go into a real Odoo, side by side with a bare `create` loop that sends the same payload, external ids
//! and context.
//!
//! `ODOO_URL=… ODOO_DB=… ODOO_API_KEY=… cargo bench --bench load [contacts]`. The Odoo keeps what is loaded: use one of its own
//! (`tests/testbed/odoo/up.sh`). Whole steps alternate with bare loops; the ratios are of the medians.

use std::{
    fmt::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crmferry::{
    api::{
        MappingSpecSpec, Migration, PhaseRunSpec, PhaseRunStatus,
        phase_run::{Orders, Step},
    },
    args,
    lifecycle::Exit,
    odoo::{
        json2::{Json2, Json2Options, Secret},
        rpc::Rpc,
    },
    worker::{self, Start, destination::Door},
    workspace::Workspace,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[path = "../tests/it/room.rs"]
mod room;

use room::Room;

const ROUNDS: usize = 3;
const BATCH: usize = 400;

const COLUMNS: [&str; 10] = [
    "name", "email", "phone", "function", "street", "street2", "city", "zip", "website", "ref",
];

fn cell(column: &str, id: usize) -> String {
    match column {
        "email" => format!("person{id}@example.com"),
        "website" => format!("https://site{id}.example.com"),
        "phone" => format!("+55 11 4000-{:04}", id % 10_000),
        _ => format!("{column} number {id}"),
    }
}

fn mapping() -> MappingSpecSpec {
    let fields: Vec<Value> = COLUMNS
        .iter()
        .map(|column| json!({"to": column, "from": column}))
        .collect();
    let object = json!({"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "fields": fields,
                        "destination": {"model": "res.partner"}});
    serde_json::from_value(json!({"source": {"platform": "Pipz"}, "objects": [object]}))
        .expect("the mapping is well formed")
}

fn migration(url: &str, account: &str) -> Migration {
    let spec = json!({
        "mappingSpecRef": {"name": "bench"}, "source": {"account": account, "files": {"path": "exports/"}},
        "destination": {"odoo": {"url": url, "database": env("ODOO_DB"), "secretRef": {"name": "odoo"}, "insecure": true,
                                 "limits": {"profile": "SelfHosted", "connections": 1}}},
        "workspace": {"persistentVolumeClaim": {"claimName": "bench"}},
    });
    let mut migration = Migration::new("bench", serde_json::from_value(spec).expect("the spec is well formed"));
    migration.metadata.uid = Some(account.to_owned());
    migration
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        eprintln!("load: {name} is not set: it needs a real Odoo, see tests/testbed/odoo/up.sh");
        std::process::exit(2);
    })
}

async fn step(home: &Arc<Room>, root: &Path, phase: Step, plan: Option<String>) -> (Duration, PhaseRunStatus) {
    let begun = Instant::now();
    let exit = worker::run(Start {
        home: home.clone(),
        name: "bench".into(),
        spec: PhaseRunSpec {
            migration: "bench".into(),
            run: 1,
            phase,
            object: (phase == Step::Load).then(|| "contacts".into()),
            attempt: 1,
            plan_digest: plan,
            image: String::new(),
            orders: Orders::default(),
        },
        workspace: Workspace::local(root, "default", "bench").expect("a folder"),
        door: Door::Server {
            secret: root.join("secret"),
            ca: root.join("ca"),
        },
        scratch: root.to_owned(),
        stop: CancellationToken::new(),
        now: jiff::Timestamp::now,
        place: "bench".into(),
    })
    .await;
    let status = home.status();
    assert!(exit == Exit::Done, "{phase:?} ended with {:?}", status.failure);
    (begun.elapsed(), status)
}

/// The whole step: look-ups, creates, ledger, results, read-back of every record, sweep.
async fn whole(contacts: usize, account: &str) -> Duration {
    let root = tempfile::tempdir().expect("a folder");
    let exports = root.path().join("default/bench/exports");
    std::fs::create_dir_all(&exports).expect("a folder");
    std::fs::create_dir_all(root.path().join("secret")).expect("a folder");
    std::fs::write(root.path().join("secret/apiKey"), env("ODOO_API_KEY")).expect("a file");
    let mut csv = format!("id,{}\n", COLUMNS.join(","));
    for id in 0..contacts {
        let cells: Vec<String> = COLUMNS.iter().map(|column| cell(column, id)).collect();
        writeln!(csv, "{id},{}", cells.join(",")).expect("writing to a String cannot fail");
    }
    std::fs::write(exports.join("contact.csv"), csv).expect("a file");
    let home = Arc::new(Room::new(migration(&env("ODOO_URL"), account), mapping()));
    let plan = step(&home, root.path(), Step::Discover, None)
        .await
        .1
        .plan
        .map(|plan| plan.digest);
    step(&home, root.path(), Step::Extract, plan.clone()).await;
    let (took, status) = step(&home, root.path(), Step::Load, plan.clone()).await;
    let made = status.objects.first().map_or(0, |object| object.book.created);
    assert!(usize::try_from(made) == Ok(contacts), "{made} of {contacts} were made");
    step(&home, root.path(), Step::Release, plan).await;
    took
}

/// The same payload in a loop that proves nothing.
async fn bare(contacts: usize, account: &str) -> Duration {
    let mut options = Json2Options::new(&env("ODOO_URL"), &env("ODOO_DB"), Secret::new(&env("ODOO_API_KEY")));
    options.insecure = true;
    let odoo = Json2::new(options).expect("a client");
    let begun = Instant::now();
    let ids: Vec<usize> = (0..contacts).collect();
    for batch in ids.chunks(BATCH) {
        let rows: Vec<Value> = batch
            .iter()
            .map(|id| {
                let mut row: serde_json::Map<String, Value> = COLUMNS
                    .iter()
                    .map(|column| ((*column).to_owned(), cell(column, *id).into()))
                    .collect();
                row.insert("id".into(), format!("contacts_{id}").into());
                Value::Object(row)
            })
            .collect();
        let context = json!({
            "_import_current_module": format!("crmferry_bare_{account}"), "tracking_disable": true, "mail_create_nolog": true,
            "mail_create_nosubscribe": true, "mail_notrack": true, "no_reset_password": true,
            "_partners_skip_fields_sync": true, "mail_activity_quick_update": true, "no_mail_to_attendees": true,
            "image_no_postprocess": true, "active_test": false,
        });
        odoo.call("res.partner", "create", args!({"vals_list": rows, "context": context}))
            .await
            .expect("Odoo creates");
    }
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first provider");
    let contacts = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(10_000_usize);
    let stamp = jiff::Timestamp::now().as_second();
    let (mut wholes, mut bares) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        bares.push(bare(contacts, &format!("{stamp}{round}")).await);
        wholes.push(whole(contacts, &format!("b{stamp}{round}")).await);
    }
    let (whole, bare) = (median(wholes), median(bares));
    let pace = |seconds: f64| contacts as f64 / seconds;
    println!(
        "bare create loop             {bare:7.2} s  {:6.0} contacts/s",
        pace(bare)
    );
    println!(
        "load with the whole proof    {whole:7.2} s  {:6.0} contacts/s  {:.0} % of the bare loop",
        pace(whole),
        100.0 * bare / whole
    );
}
