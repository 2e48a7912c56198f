//! Records that people make in Odoo: they are held, what needs them waits, and both go on when they are there. On the Odoo in
//! memory, and on the one at `ODOO_URL` when it is set.

use crmferry::{
    api::{
        migration::OwnersMissing,
        phase_run::{Missing, ObjectReport, PhaseRunStatus, Step},
    },
    args,
    lifecycle::book,
};
use serde_json::{Value as Json, json};

use crate::{
    policies::benches,
    steps::{Bench, sound},
};

/// Users that Odoo has, the contacts they own, and deals that hang on contacts.
fn mapping() -> Json {
    json!({"source": {"platform": "Pipz"}, "objects": [
        {"name": "users", "source": {"object": "user"}, "key": ["id"], "match": ["login"], "onNew": "Hold",
         "destination": {"model": "res.users"}, "fields": [{"to": "login", "from": "email", "onEmpty": "Reject"}]},
        {"name": "contacts", "source": {"object": "contact"}, "key": ["id"], "destination": {"model": "res.partner"},
         "fields": [{"to": "name", "from": "name"}, {"to": "user_id", "from": "owner", "lookup": {"object": "users"}}]},
        {"name": "deals", "source": {"object": "deal"}, "key": ["id"], "destination": {"model": "crm.lead"},
         "fields": [{"to": "name", "from": "name"}, {"to": "type", "constant": "opportunity"},
                    {"to": "partner_id", "from": "contact", "lookup": {"object": "contacts"}}]},
    ]})
}

/// User 7 is in Odoo, 9 is not, and 99 is not even in the source.
async fn set_out(bench: &Bench, word: &str) {
    make_user(bench, &format!("seven@{word}.example")).await;
    bench.export(
        "user.csv",
        &format!("id,email\n7,seven@{word}.example\n9,nine@{word}.example\n8,\n"),
    );
    bench.export(
        "contact.csv",
        &format!("id,name,owner\n1,One {word},7\n2,Two {word},9\n3,Three {word},\n4,Four {word},99\n"),
    );
    bench.export(
        "deal.csv",
        &format!("id,name,contact\n20,On one {word},1\n21,On two {word},2\n"),
    );
}

/// An administrator makes a user.
async fn make_user(bench: &Bench, login: &str) {
    let made = args!({"vals_list": [{"name": login, "login": login}], "context": {"no_reset_password": true}});
    bench.call("res.users", "create", made).await;
}

impl Bench {
    /// A step, and what a status keeps of it for the next.
    async fn kept(&mut self, step: Step, object: Option<&str>) -> PhaseRunStatus {
        let told = self.done(step, object).await;
        let queue = &mut self.migration.status.get_or_insert_default().queue;
        queue.retain(|row| told.objects.iter().all(|object| object.name != row.who_counts()));
        queue.extend(told.queue.clone());
        told
    }

    async fn everything(&mut self) -> Vec<ObjectReport> {
        for step in [Step::Discover, Step::Extract, Step::Rehearse, Step::Schema] {
            self.kept(step, None).await;
        }
        let mut all = Vec::new();
        for object in ["users", "contacts", "deals"] {
            all.extend(self.kept(Step::Load, Some(object)).await.objects);
        }
        all
    }

    fn queue(&self) -> Vec<(&str, &str, &str, i64)> {
        let rows = &self.migration.status.as_ref().unwrap().queue;
        let mut rows: Vec<_> = rows
            .iter()
            .map(
                |Missing {
                     object,
                     key,
                     by,
                     records,
                 }| (object.as_str(), key.as_str(), by.as_str(), *records),
            )
            .collect();
        rows.sort_unstable();
        rows
    }

    /// Key and code of each row of `held.csv`.
    fn held(&self, object: &str) -> Vec<(String, String)> {
        let path = self.folder().join(format!("results/{object}/held.csv"));
        let mut reader = csv::Reader::from_path(path).unwrap();
        reader
            .records()
            .map(|row| row.unwrap())
            .map(|row| (row[0].to_owned(), row[4].to_owned()))
            .collect()
    }

    /// The login of the salesperson of a contact.
    async fn owner(&self, name: &str) -> Json {
        let domain = json!([["name", "=", name]]);
        let found = self
            .call(
                "res.partner",
                "search_read",
                args!({"domain": domain, "fields": ["user_id"]}),
            )
            .await;
        let rows = found.as_array().unwrap();
        assert!(rows.len() < 2, "{found}");
        rows.first().map_or(Json::Null, |row| row["user_id"][1].clone())
    }

    /// Names of the partners of a test, without its word.
    async fn people(&self, word: &str) -> Vec<String> {
        let domain = json!([["name", "like", format!(" {word}")], ["user_ids", "=", false]]);
        let found = args!({"domain": domain, "fields": ["name"], "order": "name"});
        let found = self.call("res.partner", "search_read", found).await;
        let name = |row: &Json| row["name"].as_str().unwrap().trim_end_matches(word).trim().to_owned();
        found.as_array().unwrap().iter().map(name).collect()
    }

    async fn users(&self, login: &str) -> usize {
        let domain = json!([["login", "=", login]]);
        let found = self
            .call(
                "res.users",
                "search",
                args!({"domain": domain, "context": {"active_test": false}}),
            )
            .await;
        found.as_array().unwrap().len()
    }
}

fn counts(report: &ObjectReport) -> (i64, i64, i64) {
    assert!(book::adds_up(&report.book), "{report:#?}");
    assert!(report.verification.unwrap().verified, "{report:#?}");
    assert_eq!(report.book.balanced, report.book.held == 0, "{report:#?}");
    (book::loaded(&report.book), report.book.held, report.waiting)
}

#[tokio::test]
async fn odoo_a_user_made_between_two_rounds_fills_what_waited_for_it() {
    for (mut bench, word) in benches(&mapping()) {
        set_out(&bench, &word).await;
        let reports = bench.everything().await;
        assert_eq!(reports[0].book.rejected, 1, "the one without an address");
        let all: Vec<_> = reports.iter().map(counts).collect();
        assert_eq!(all, [(1, 1, 0), (2, 2, 2), (1, 1, 1)], "{word}");
        let waiting = [
            ("contacts", "2", "deals", 1),
            ("users", "", "contacts", 1),
            ("users", "9", "", 1),
            ("users", "9", "contacts", 1),
        ];
        assert_eq!(bench.queue(), waiting);
        let row = |key: &str, code: &str| (key.to_owned(), code.to_owned());
        assert_eq!(bench.held("users"), [row("9", "NotInOdoo")]);
        assert_eq!(bench.held("contacts"), [row("2", "Held"), row("4", "NotFound")]);
        assert_eq!(bench.held("deals"), [row("21", "Held")]);
        assert_eq!(bench.users(&format!("nine@{word}.example")).await, 0, "none is made");

        let round = bench.kept(Step::Delta, None).await;
        let again: Vec<_> = round.objects.iter().map(counts).collect();
        assert_eq!((again, bench.queue()), (all, waiting.to_vec()), "nothing changed");

        make_user(&bench, &format!("nine@{word}.example")).await;
        let round = bench.kept(Step::Delta, None).await;
        let names: Vec<_> = round.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["users", "contacts", "deals"]);
        assert_eq!(round.objects[0].book.adopted, 2);
        let all: Vec<_> = round.objects.iter().map(counts).collect();
        assert_eq!(all, [(2, 0, 0), (3, 1, 1), (2, 0, 0)], "{word}");
        assert_eq!(
            bench.owner(&format!("Two {word}")).await,
            json!(format!("nine@{word}.example"))
        );
        assert_eq!(bench.queue(), [("users", "", "contacts", 1)], "the source has no 99");
        assert_eq!(bench.users(&format!("nine@{word}.example")).await, 1);

        // the source gets its user, and Odoo too
        bench.export(
            "user.csv",
            &format!("id,email\n7,seven@{word}.example\n9,nine@{word}.example\n99,more@{word}.example\n"),
        );
        make_user(&bench, &format!("more@{word}.example")).await;
        let round = bench.kept(Step::Delta, None).await;
        sound(&round.objects);
        assert!(bench.queue().is_empty(), "{:?}", bench.queue());
        let quiet = bench.kept(Step::Delta, None).await;
        assert!(quiet.objects.is_empty(), "nothing is waited for, so nothing is read");
        bench.clear(&word).await;
    }
}

#[tokio::test]
async fn odoo_an_owner_may_be_left_out_and_is_filled_in_when_it_is_there() {
    for (mut bench, word) in benches(&mapping()) {
        bench.migration.spec.owners.on_missing = OwnersMissing::Empty;
        set_out(&bench, &word).await;
        let reports = bench.everything().await;
        let all: Vec<_> = reports.iter().map(counts).collect();
        assert_eq!(all, [(1, 1, 0), (4, 0, 0), (2, 0, 0)], "{word}");
        assert_eq!(bench.owner(&format!("Two {word}")).await, json!(null));
        let waiting = [
            ("users", "", "contacts", 1),
            ("users", "9", "", 1),
            ("users", "9", "contacts", 1),
        ];
        assert_eq!(bench.queue(), waiting, "it is waited for all the same");

        make_user(&bench, &format!("nine@{word}.example")).await;
        let round = bench.kept(Step::Delta, None).await;
        let names: Vec<_> = round.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["users", "contacts"], "deals wait for nothing");
        assert_eq!(round.objects[1].book.created, 4, "{round:#?}");
        assert_eq!(
            bench.owner(&format!("Two {word}")).await,
            json!(format!("nine@{word}.example"))
        );
        assert_eq!(bench.queue(), [("users", "", "contacts", 1)]);
        bench.clear(&word).await;
    }
}

#[tokio::test]
async fn an_owner_that_is_missing_may_reject_its_records() {
    let (mut bench, word) = benches(&mapping()).remove(0);
    bench.migration.spec.owners.on_missing = OwnersMissing::Reject;
    set_out(&bench, &word).await;
    let reports = bench.everything().await;
    assert_eq!(counts(&reports[1]), (2, 0, 0));
    assert_eq!(reports[1].book.rejected, 2);
    assert_eq!(bench.queue(), [("users", "9", "", 1)]);
}

#[tokio::test]
async fn a_user_made_while_the_worker_runs_is_taken_over_in_this_round_or_the_next_and_never_made_twice() {
    for moment in [0, 10, 40, 160, 640, 2_560] {
        let (mut bench, word) = benches(&mapping()).remove(0);
        set_out(&bench, &word).await;
        bench.everything().await;
        let (memory, login) = (bench.memory.clone(), format!("nine@{word}.example"));
        let person = async {
            for _ in 0..moment {
                tokio::task::yield_now().await;
            }
            let made = args!({"vals_list": [{"name": login.clone(), "login": login.clone()}]});
            crmferry::odoo::rpc::Rpc::call(&*memory, "res.users", "create", made)
                .await
                .unwrap();
        };
        let (round, ()) = tokio::join!(bench.kept(Step::Delta, None), person);
        // whenever it came: every record is accounted for, here as well
        for report in &round.objects {
            counts(report);
        }
        let (exit, next) = bench.step(Step::Delta, None).await;
        assert_eq!(exit, crmferry::lifecycle::Exit::Done, "{next:#?}");
        assert_eq!(bench.users(&login).await, 1, "after {moment}");
        assert_eq!(
            bench.owner(&format!("Two {word}")).await,
            json!(login),
            "after {moment}"
        );
    }
}

#[tokio::test]
async fn odoo_what_is_held_becomes_one_with_a_later_record_that_was_made_meanwhile() {
    let mut mapping = mapping();
    mapping["objects"][1]["dedupe"] = json!(["website"]);
    let website = json!({"to": "website", "from": "site"});
    mapping["objects"][1]["fields"].as_array_mut().unwrap().push(website);
    for (mut bench, word) in benches(&mapping) {
        set_out(&bench, &word).await;
        let site = format!("{word}.example");
        let rows = |first: &str| {
            format!("id,name,owner,site\n1,One {word},{first},{site}\n2,Two {word},7,{site}\n3,Three {word},7,\n")
        };
        bench.export("contact.csv", &rows("9"));
        let reports = bench.everything().await;
        assert_eq!(counts(&reports[1]), (2, 1, 1), "{word}");
        assert_eq!(
            bench.people(&word).await,
            ["Three", "Two"],
            "the first waits for its owner"
        );

        make_user(&bench, &format!("nine@{word}.example")).await;
        let round = bench.kept(Step::Delta, None).await;
        sound(&round.objects);
        let contacts = round.objects.iter().find(|object| object.name == "contacts").unwrap();
        assert_eq!(
            (contacts.book.deduplicated, contacts.book.created),
            (1, 2),
            "{contacts:#?}"
        );
        assert_eq!(bench.people(&word).await, ["Three", "Two"], "and is not made beside it");
        let partner = args!({"domain": [["name", "=", format!("On one {word}")]], "fields": ["partner_id"]});
        let deal = bench.call("crm.lead", "search_read", partner).await;
        assert_eq!(
            deal[0]["partner_id"][1],
            json!(format!("Two {word}")),
            "its key finds that record"
        );

        // foreseen as it comes, and stable
        bench.run = 2;
        let foreseen = bench.done(Step::Rehearse, None).await;
        let contacts = foreseen
            .objects
            .iter()
            .find(|object| object.name == "contacts")
            .unwrap();
        assert_eq!(
            (contacts.book.deduplicated, contacts.book.unchanged),
            (1, 2),
            "{contacts:#?}"
        );
        let again = bench.done(Step::Load, Some("contacts")).await;
        sound(&again.objects);
        assert_eq!(
            (again.objects[0].book.deduplicated, again.objects[0].book.unchanged),
            (1, 2)
        );
        bench.clear(&word).await;
    }
}

#[tokio::test]
async fn odoo_an_inactive_user_is_made_archived_without_a_word_to_anybody_and_found_again() {
    let inactive = json!({"name": "inactiveUsers", "source": {"object": "user", "where": "!yes(record.active)"}, "key": ["id"],
        "match": ["login"], "destination": {"model": "res.users"},
        "fields": [{"to": "login", "from": "email"}, {"to": "name", "from": "email"}, {"to": "email", "from": "email"},
                   {"to": "active", "constant": "false"}]});
    let mut mapping = mapping();
    mapping["objects"][0]["after"] = json!(["inactiveUsers"]);
    mapping["objects"].as_array_mut().unwrap().insert(0, inactive);
    for (mut bench, word) in benches(&mapping) {
        let mails = bench.call("mail.mail", "search_count", args!({"domain": []})).await;
        bench.export("user.csv", &format!("id,email,active\n5,gone@{word}.example,não\n"));
        bench.export("contact.csv", &format!("id,name,owner\n1,One {word},5\n"));
        bench.export("deal.csv", "id,name,contact\n");
        let reports = bench.all().await;
        sound(&reports);
        assert_eq!(
            (reports[0].book.created, reports[1].book.adopted),
            (1, 1),
            "{reports:#?}"
        );
        let domain = json!([["login", "=", format!("gone@{word}.example")]]);
        let args = args!({"domain": domain, "fields": ["active"], "context": {"active_test": false}});
        let users = bench.call("res.users", "search_read", args).await;
        assert_eq!(
            (users.as_array().unwrap().len(), &users[0]["active"]),
            (1, &json!(false)),
            "{users}"
        );
        let now = bench.call("mail.mail", "search_count", args!({"domain": []})).await;
        assert_eq!(now, mails, "{word}");
        let again = bench.done(Step::Delta, None).await;
        assert!(again.objects.is_empty());
        bench.clear(&word).await;
    }
}

impl Bench {
    /// Takes away what a test left on a server.
    async fn clear(&self, word: &str) {
        let domain = json!([["name", "like", word]]);
        let leads = self
            .call(
                "crm.lead",
                "search",
                args!({"domain": domain, "context": {"active_test": false}}),
            )
            .await;
        self.call("crm.lead", "unlink", args!({"ids": leads})).await;
        self.leave(&[]).await;
        let domain = json!([["login", "like", word]]);
        let users = self
            .call(
                "res.users",
                "search",
                args!({"domain": domain, "context": {"active_test": false}}),
            )
            .await;
        self.call("res.users", "unlink", args!({"ids": users})).await;
    }
}
