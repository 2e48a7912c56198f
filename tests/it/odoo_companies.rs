//! What people below a company share with it in Odoo: its address and its tax number, copied up and down.

use std::fmt::Write as _;

use crmferry::args;
use serde_json::{Value as Json, json};

use crate::{
    odoo_effects::{edit, edited, leave, of, partners, person, read, same, with},
    policies::benches,
    steps::{Bench, sound},
};

/// Odoo copies a company's address to the people below it that have none.
#[tokio::test]
async fn a_company_moves_and_its_people_without_an_address_with_it_until_they_have_their_own() {
    let kind = json!({"to": "type", "cel": "record.city != null ? \"other\" : \"contact\""});
    let parent = json!({"to": "parent_id", "from": "firm", "lookup": {"object": "firms"}});
    let firms = partners("firms", &same(&["name", "email", "city"]));
    let people = partners(
        "people",
        &with(same(&["name", "email", "city", "phone"]), &[kind, parent]),
    );
    for (mut bench, word) in benches(&of(&[firms, people])) {
        let name = |who: &str| format!("{who} {word}");
        let export = |bench: &Bench, of_firm: &str, of_ana: &str| {
            let mail = |who: &str| format!("{who}@{word}.example");
            let firm = format!("9,{},{},{of_firm}\n", name("Firm"), mail("firm"));
            bench.export("firms.csv", &format!("id,name,email,city\n{firm}"));
            let ana = format!("1,{},{},{of_ana},p,9\n", name("Ana"), mail("ana"));
            let rui = format!("2,{},{},,p,9\n", name("Rui"), mail("rui"));
            bench.export("people.csv", &format!("id,name,email,city,phone,firm\n{ana}{rui}"));
        };
        export(&bench, "Recife", "");
        sound(&bench.all().await);
        // a person writes to one of them: that the company moves does not hide it
        edit(&bench, &name("Rui"), json!({"phone": "PERSON"})).await;
        bench.run = 2;
        export(&bench, "Natal", "");
        sound(&bench.all().await);
        assert_eq!(read(&bench, "res.partner", &name("Ana"), "city").await, "Natal");
        assert_eq!(read(&bench, "res.partner", &name("Rui"), "phone").await, "PERSON");
        assert_eq!(edited(&bench, "people"), [("2".to_owned(), "phone".to_owned())]);
        bench.run = 3;
        export(&bench, "Natal", "Olinda");
        sound(&bench.all().await);
        for (who, city) in [("Ana", "Olinda"), ("Rui", "Natal"), ("Firm", "Natal")] {
            assert_eq!(read(&bench, "res.partner", &name(who), "city").await, city, "{who}");
        }
        bench.run = 4;
        let last = bench.all().await;
        sound(&last);
        assert_eq!(
            last.iter().map(|object| object.book.unchanged).sum::<i64>(),
            3,
            "{last:#?}"
        );
        leave(&bench).await;
    }
}

/// People without an address have that of the company they are below, whichever that is; and a company never loses its own.
#[tokio::test]
async fn people_who_change_companies_take_no_address_along() {
    let parent = json!({"to": "parent_id", "from": "firm", "lookup": {"object": "firms"}});
    let firms = partners("firms", &same(&["name", "email", "city", "street"]));
    let people = partners("people", &with(same(&["name", "email", "city"]), &[parent]));
    for (mut bench, word) in benches(&of(&[firms, people])) {
        let name = |who: &str| format!("{who} {word}");
        let export = |bench: &Bench, city: &str, firms: [&str; 4]| {
            let mail = |who: &str| format!("{who}@{word}.example");
            let a = format!("7,{},{},{city},Rua A\n", name("Aa"), mail("aa"));
            let b = format!("8,{},{},Belo,Rua B\n", name("Bb"), mail("bb"));
            let c = format!("9,{},{},,\n", name("Cc"), mail("cc"));
            bench.export("firms.csv", &format!("id,name,email,city,street\n{a}{b}{c}"));
            let people = ["p1", "p2", "p3", "p4"].iter().zip(firms).zip(1..);
            let rows = people.fold(String::new(), |mut rows, ((who, firm), n)| {
                let _ = writeln!(rows, "{n},{},{},,{firm}", name(who), mail(who));
                rows
            });
            bench.export("people.csv", &format!("id,name,email,city,firm\n{rows}"));
        };
        export(&bench, "Recife", ["7", "7", "7", ""]);
        sound(&bench.all().await);
        bench.run = 2;
        export(&bench, "Natal", ["7", "7", "7", ""]);
        sound(&bench.all().await);
        assert_eq!(edited(&bench, "people"), []);
        assert_eq!(read(&bench, "res.partner", &name("p1"), "city").await, "Natal");
        // to another company, to one without an address, to none, and to one at last
        bench.run = 3;
        export(&bench, "Natal", ["8", "9", "", "7"]);
        sound(&bench.all().await);
        for (who, city, street) in [
            ("Aa", json!("Natal"), json!("Rua A")),
            ("Bb", json!("Belo"), json!("Rua B")),
            ("Cc", json!(false), json!(false)),
            ("p1", json!("Belo"), json!("Rua B")),
            ("p2", json!(false), json!(false)),
            ("p3", json!(false), json!(false)),
            ("p4", json!("Natal"), json!("Rua A")),
        ] {
            let found = (
                read(&bench, "res.partner", &name(who), "city").await,
                read(&bench, "res.partner", &name(who), "street").await,
            );
            assert_eq!(found, (city, street), "{who}");
        }
        assert_eq!(edited(&bench, "people"), []);
        bench.run = 4;
        let last = bench.all().await;
        assert_eq!(
            last.iter().map(|object| object.book.unchanged).sum::<i64>(),
            7,
            "{last:#?}"
        );
        leave(&bench).await;
    }
}

/// What is kept once is kept again, however often the source changes.
#[tokio::test]
async fn people_whom_a_person_put_below_a_company_keep_its_address() {
    let fields = same(&["name", "email", "phone", "street", "city"]);
    for (mut bench, word) in benches(&of(&[partners("contacts", &fields)])) {
        let export = |bench: &Bench, phone: &str, street: &str| {
            let row = format!("1,{},1@{word}.example,{phone},{street},Own", person(1, &word));
            bench.export("contacts.csv", &format!("id,name,email,phone,street,city\n{row}\n"));
        };
        export(&bench, "p1", "Own 1");
        sound(&bench.all().await);
        let company =
            json!({"name": format!("Theirs {word}"), "is_company": true, "street": "Theirs 1", "city": "Theirs"});
        let made = bench
            .by_ana("res.partner", "create", args!({"vals_list": [company]}))
            .await;
        edit(&bench, &person(1, &word), json!({"parent_id": made[0]})).await;
        for (run, phone, street) in [
            (2, "p1", "Own 1"),
            (3, "p3", "Own 1"),
            (4, "p4", "Own 1"),
            (5, "p4", "Own 5"),
        ] {
            bench.run = run;
            export(&bench, phone, street);
            sound(&bench.all().await);
            assert_eq!(
                read(&bench, "res.partner", &person(1, &word), "street").await,
                "Theirs 1",
                "{run}"
            );
            assert_eq!(
                read(&bench, "res.partner", &person(1, &word), "type").await,
                "contact",
                "{run}"
            );
            assert_eq!(
                read(&bench, "res.partner", &person(1, &word), "phone").await,
                phone,
                "{run}"
            );
            assert!(
                edited(&bench, "contacts").contains(&("1".into(), "street".into())),
                "{run}"
            );
        }
        leave(&bench).await;
        bench.call("res.partner", "unlink", args!({"ids": made})).await;
    }
}

/// A contact that is made below a company with an address of its own keeps it, whatever becomes of the company's.
#[tokio::test]
async fn a_contact_made_with_an_address_of_its_own_keeps_it_when_the_company_moves() {
    let companies = partners(
        "companies",
        &with(
            same(&["name", "street", "vat"]),
            &[json!({"to": "is_company", "constant": "true"})],
        ),
    );
    let mut contacts = partners(
        "contacts",
        &with(
            same(&["name", "street", "zip", "vat"]),
            &[json!({"to": "parent_id", "from": "company", "lookup": {"object": "companies"}})],
        ),
    );
    contacts["after"] = json!(["companies"]);
    let mut companies = companies;
    for object in [&mut companies, &mut contacts] {
        object.as_object_mut().unwrap().remove("match");
    }
    for (mut bench, word) in benches(&of(&[companies, contacts])) {
        let export = |bench: &Bench, street: &str| {
            bench.export(
                "companies.csv",
                &format!("id,name,street,vat\n1,Co {word},{street},BE0428759497\n"),
            );
            let row = format!("1,Own {word},Own 1,1000,BE0477472701,1\n2,None {word},,,,1\n");
            bench.export("contacts.csv", &format!("id,name,street,zip,vat,company\n{row}"));
        };
        for (run, street) in [(1, "Street 1"), (2, "Street 2")] {
            bench.run = run;
            export(&bench, street);
            sound(&bench.all().await);
            assert_eq!(
                read(&bench, "res.partner", &format!("Own {word}"), "street").await,
                "Own 1",
                "{run}"
            );
            if run == 2 {
                let none = read(&bench, "res.partner", &format!("None {word}"), "street").await;
                assert_eq!(none, street, "who has none has the company's");
            }
            assert_eq!(edited(&bench, "contacts"), [], "{run}");
            let told = bench.noted("contacts");
            assert!(
                told.contains(&("1".into(), "CompanysField".into(), "vat".into())),
                "{told:?}"
            );
            let vat = read(&bench, "res.partner", &format!("Co {word}"), "vat").await;
            assert_eq!(vat, "BE0428759497", "{run}");
        }
        // who leaves the company has their own again
        bench.run = 3;
        let rows = format!("1,Own {word},Own 1,1000,BE0477472701,\n2,None {word},,,,1\n");
        bench.export("contacts.csv", &format!("id,name,street,zip,vat,company\n{rows}"));
        sound(&bench.all().await);
        let vat = read(&bench, "res.partner", &format!("Own {word}"), "vat").await;
        assert_eq!(vat, "BE0477472701");
        assert_eq!(edited(&bench, "contacts"), []);
        leave(&bench).await;
    }
}

/// A tax number that is not sent tells who a person is all the same.
#[tokio::test]
async fn people_below_a_company_are_matched_and_folded_by_what_is_not_sent_of_them() {
    let companies = partners(
        "companies",
        &with(same(&["name"]), &[json!({"to": "is_company", "constant": "true"})]),
    );
    let below = json!({"to": "parent_id", "from": "company", "lookup": {"object": "companies"}});
    let mut contacts = partners("contacts", &with(same(&["name", "vat"]), &[below]));
    contacts["after"] = json!(["companies"]);
    contacts["match"] = json!(["vat"]);
    contacts["dedupe"] = json!(["vat"]);
    let mut companies = companies;
    companies.as_object_mut().unwrap().remove("match");
    for (mut bench, word) in benches(&of(&[companies, contacts])) {
        let there = json!([{"name": format!("Ana {word}"), "vat": "BE0477472701"}]);
        bench.by_ana("res.partner", "create", args!({"vals_list": there})).await;
        bench.export("companies.csv", &format!("id,name\n1,Co {word}\n"));
        let rows = [
            ("Ana", "BE0477472701"),
            ("Bia", "BE0428759497"),
            ("Bia again", "BE0428759497"),
        ];
        let rows = rows
            .iter()
            .enumerate()
            .fold(String::new(), |mut rows, (n, (name, vat))| {
                let _ = writeln!(rows, "{n},{name} {word},{vat},1");
                rows
            });
        bench.export("contacts.csv", &format!("id,name,vat,company\n{rows}"));
        let reports = bench.all().await;
        sound(&reports);
        let book = reports[1].book;
        assert_eq!((book.adopted, book.created, book.deduplicated), (1, 1, 1), "{book:?}");
        leave(&bench).await;
    }
}

/// Odoo hands a number of a contact to the company that they are put below, where that has none, and so to all below it.
#[tokio::test]
async fn who_changes_companies_takes_no_tax_number_along() {
    let companies = companies(&["name"]);
    let contacts = below(&["name"]);
    for (mut bench, word) in benches(&of(&[companies, contacts])) {
        let name = |who: &str| format!("{who} {word}");
        let export = |bench: &Bench, of_ana: u8, of_rui: &str| {
            let of_two = format!("1,{},{of_ana}\n2,{},{of_rui}\n", name("Ana"), name("Rui"));
            let companies = format!("1,{}\n2,{}\n3,{}\n", name("One"), name("Two"), name("Three"));
            bench.export("companies.csv", &format!("id,name\n{companies}"));
            bench.export("contacts.csv", &format!("id,name,company\n{of_two}"));
        };
        export(&bench, 1, "");
        sound(&bench.all().await);
        // a person's, of which the mapping knows nothing
        edit(&bench, &name("One"), json!({"vat": "BE0428759497"})).await;
        edit(&bench, &name("Rui"), json!({"vat": "BE0477472701"})).await;
        bench.run = 2;
        export(&bench, 2, "3");
        sound(&bench.all().await);
        for (who, vat) in [
            ("One", json!("BE0428759497")),
            ("Two", json!(false)),
            ("Three", json!(false)),
        ] {
            assert_eq!(read(&bench, "res.partner", &name(who), "vat").await, vat, "{who}");
        }
        let told = bench.noted("contacts");
        let lost = ("2".to_owned(), "CompanysField".to_owned(), "vat".to_owned());
        assert!(told.contains(&lost), "{told:?}");
        leave(&bench).await;
    }
}

#[tokio::test]
async fn a_company_that_was_a_person_for_a_while_has_its_own_tax_number_again() {
    let kind = json!({"to": "is_company", "cel": "record.kind == \"company\""});
    let parent = json!({"to": "parent_id", "from": "company", "lookup": {"object": "companies"}, "onMissing": "Empty"});
    let mut firms = partners("companies", &with(same(&["name", "vat"]), &[kind, parent]));
    firms.as_object_mut().unwrap().remove("match");
    for (mut bench, word) in benches(&of(&[firms])) {
        for (run, kind, vat) in [
            (1, "company", "BE0477472701"),
            (2, "person", "BE0428759497"),
            (3, "company", "BE0477472701"),
        ] {
            bench.run = run;
            let above = format!("1,Above {word},company,BE0428759497,\n");
            let rows = format!("{above}2,Below {word},{kind},BE0477472701,1\n");
            bench.export("companies.csv", &format!("id,name,kind,vat,company\n{rows}"));
            sound(&bench.all().await);
            let found = read(&bench, "res.partner", &format!("Below {word}"), "vat").await;
            // Odoo in memory copies nothing down
            assert!(found == json!(vat) || run == 2, "{run}: {found}");
            assert_eq!(edited(&bench, "companies"), [], "{run}");
        }
        leave(&bench).await;
    }
}

/// What Odoo copied down is nobody's: it is neither a person's nor written over, and one's own address takes its place.
#[tokio::test]
async fn an_address_that_comes_later_takes_the_place_of_the_companys_whatever_else_has_changed() {
    for policy in ["KeepTheirs", "Overwrite"] {
        let companies = companies(&["name", "city", "zip", "street"]);
        let mut contacts = below(&["name", "city", "zip", "function"]);
        let kind = json!({"to": "type", "cel": "record.city != null ? \"other\" : \"contact\""});
        contacts["fields"].as_array_mut().unwrap().push(kind);
        contacts["onConflict"] = json!(policy);
        for (mut bench, word) in benches(&of(&[companies, contacts])) {
            let name = |who: &str| format!("{who} {word}");
            for (run, firm, job, own) in [
                (1, "Belo,1000,Rua 1", "a", ","),
                (2, "Natal,2000,Rua 2", "b", ","),
                (3, "Natal,2000,Rua 2", "b", ","),
                (4, "Natal,2000,Rua 2", "b", "Olinda,5300"),
                (5, "Natal,2000,Rua 2", "b", "Olinda,5300"),
            ] {
                bench.run = run;
                let row = format!("1,{},{firm}", name("Co"));
                bench.export("companies.csv", &format!("id,name,city,zip,street\n{row}\n"));
                let row = format!("1,{},{own},{job},1", name("Ana"));
                bench.export("contacts.csv", &format!("id,name,city,zip,function,company\n{row}\n"));
                let reports = bench.all().await;
                sound(&reports);
                let of_ana = if run < 4 { firm.to_owned() } else { format!("{own},") };
                for (who, address) in [("Ana", &*of_ana), ("Co", firm)] {
                    let mut found = Vec::new();
                    for field in ["city", "zip", "street"] {
                        let value = read(&bench, "res.partner", &name(who), field).await;
                        found.push(value.as_str().unwrap_or("").to_owned());
                    }
                    let found = found.join(",");
                    // Odoo in memory copies it down when it changes
                    assert!(found == address || run == 1, "{policy} {run} {who}: {found}");
                }
                let told = bench.noted("contacts");
                assert!(told.is_empty(), "{policy} {run}: {told:?}");
                if run == 3 || run == 5 {
                    assert_eq!(reports[1].book.unchanged, 1, "{policy} {run}: {:?}", reports[1].book);
                }
            }
            leave(&bench).await;
        }
    }
}

fn companies(fields: &[&str]) -> Json {
    let mut companies = partners(
        "companies",
        &with(same(fields), &[json!({"to": "is_company", "constant": "true"})]),
    );
    companies.as_object_mut().unwrap().remove("match");
    companies
}

/// Contacts below them.
fn below(fields: &[&str]) -> Json {
    let parent = json!({"to": "parent_id", "from": "company", "lookup": {"object": "companies"}, "onMissing": "Empty"});
    let is_company = json!({"to": "is_company", "constant": "false"});
    let mut contacts = partners("contacts", &with(same(fields), &[is_company, parent]));
    contacts["after"] = json!(["companies"]);
    contacts.as_object_mut().unwrap().remove("match");
    contacts
}
