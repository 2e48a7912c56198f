use super::*;

#[test]
fn a_link_that_changes_is_sent_and_one_that_a_person_changed_stays() {
    let (html, model) = (field("comment"), "res.partner");
    let (sent, form) = (
        text("<a href=\"https://old.example\">Site</a>"),
        text("<p><a href=\"https://old.example\">Site</a></p>"),
    );
    let digest = field_digest(model, &html, &sent);
    let known = BTreeMap::from([("comment".to_owned(), with_form(&digest, &form))]);
    let merged = |now: &OdooValue, wanted: &str, last: &BTreeMap<String, String>| {
        let (current, wanted) = (BTreeMap::from([("comment".to_owned(), now.clone())]), text(wanted));
        super::merge(
            model,
            std::slice::from_ref(&html),
            &current,
            &[("comment".to_owned(), wanted)],
            last,
            false,
            false,
        )
    };
    let (new_link, new_text) = ("<a href=\"https://new.example\">Site</a>", "<p>Other</p>");
    let edited = text("<p><a href=\"https://person.example\">Site</a></p>");
    let OdooValue::Text(as_sent) = &sent else {
        unreachable!()
    };
    assert_eq!(merged(&form, as_sent, &known), Merge::default());
    assert_eq!(merged(&form, new_link, &known).send.len(), 1);
    assert_eq!(merged(&form, new_text, &known).send.len(), 1);
    assert_eq!(merged(&edited, as_sent, &known).kept, ["comment"]);
    assert_eq!(merged(&edited, new_link, &known).kept, ["comment"]);
    assert_eq!(merged(&edited, new_text, &known).kept, ["comment"]);
    // as long as nobody looked at what Odoo made of it, what is to be seen decides
    let unknown = BTreeMap::from([("comment".to_owned(), digest.clone())]);
    assert_eq!(merged(&form, new_link, &unknown).send.len(), 1);
    assert_eq!(with_form_of(&digest, &known["comment"]), known["comment"]);
    assert_eq!(with_form_of("1.5", "1.5"), "1.5");
}

#[test]
fn an_opportunity_that_a_person_marked_lost_is_not_made_active_by_a_won_stage() {
    let field = |name: &str, ttype: &str| TargetField::new(name, ttype);
    let fields = [
        field("name", "char"),
        field("stage_id", "many2one"),
        field(ACTIVE, "boolean"),
    ];
    let stage = |id| OdooValue::Link(Reference::Id(id));
    let values_of = |stage_id, active| {
        vec![
            ("name".to_owned(), text("Deal")),
            ("stage_id".to_owned(), stage(stage_id)),
            (ACTIVE.to_owned(), OdooValue::Boolean(active)),
        ]
    };
    let last: BTreeMap<String, String> = values_of(1, true)
        .iter()
        .zip(&fields)
        .map(|((name, value), field)| (name.clone(), field_digest("crm.lead", field, value)))
        .collect();
    let merged = |now: bool, wanted: bool| {
        let current = values_of(1, now).into_iter().collect();
        super::merge(
            "crm.lead",
            &fields,
            &current,
            &values_of(4, wanted),
            &last,
            false,
            false,
        )
    };
    let lost_by_a_person = merged(false, true);
    assert_eq!(lost_by_a_person.send, []);
    assert_eq!(lost_by_a_person.kept, [ACTIVE, "stage_id"]);
    assert_eq!(merged(true, true).send, [("stage_id".to_owned(), stage(4))]);
    assert_eq!(merged(false, false).send, [("stage_id".to_owned(), stage(4))]);
}

#[test]
fn what_odoo_would_compute_anew_is_sent_along_with_the_value_that_is_to_stay() {
    let wanted = [
        ("lang".to_owned(), OdooValue::Empty),
        ("user_id".to_owned(), text("ours")),
        ("team_id".to_owned(), text("team")),
        ("function".to_owned(), text("same")),
    ];
    let current = BTreeMap::from([("user_id".to_owned(), text("theirs"))]);
    let from = |field: &str, of: &str| (field.to_owned(), vec![of.to_owned()]);
    let computed = [
        from("team_id", "user_id"),
        from("user_id", "parent_id"),
        from("lang", "parent_id"),
        from("function", "name"),
    ];
    let mut merge = Merge {
        send: vec![("parent_id".to_owned(), OdooValue::Link(Reference::Id(7)))],
        kept: vec!["user_id".to_owned()],
        ..Merge::default()
    };
    merge.hold(&computed, &current, &wanted, false);
    merge.send.sort_by(|a, b| a.0.cmp(&b.0));
    let sent: Vec<_> = merge.send[..2].iter().chain(&merge.send[3..]).cloned().collect();
    assert_eq!(
        sent,
        [
            ("lang".to_owned(), OdooValue::Empty),
            ("parent_id".to_owned(), OdooValue::Link(Reference::Id(7))),
            ("user_id".to_owned(), text("theirs")),
        ]
    );
    assert_eq!(merge.send[2], ("team_id".to_owned(), text("team")));
    let mut nothing = Merge::default();
    nothing.hold(&computed, &current, &wanted, false);
    assert_eq!(nothing, Merge::default());
    // what the mapping leaves alone is Odoo's to compute, unless a person may have set it
    for untouched in [true, false] {
        let mut merge = Merge {
            send: vec![("parent_id".to_owned(), OdooValue::Link(Reference::Id(7)))],
            ..Merge::default()
        };
        merge.hold(&computed, &current, &[], untouched);
        assert_eq!(merge.send.len(), if untouched { 1 } else { 2 });
    }
}

#[test]
fn what_odoo_set_over_what_was_sent_goes_once_more_and_what_it_made_of_it_does_not() {
    let fields = ["name", "comment", "latitude", "type"].map(field);
    let values = |values: [(&str, OdooValue); 4]| values.map(|(name, value)| (name.to_owned(), value));
    let wanted = values([
        ("name", text("ours")),
        ("comment", text("a & b")),
        ("latitude", OdooValue::Float(1.234)),
        ("type", text("contact")),
    ]);
    let found = |name: &str, kind: &str| -> BTreeMap<String, OdooValue> {
        let found = values([
            ("name", text(name)),
            ("comment", text("<p>a &amp; b</p>")),
            ("latitude", OdooValue::Float(1.23)),
            ("type", text(kind)),
        ]);
        found.into_iter().collect()
    };
    let again = |merge: &Merge, found: &BTreeMap<String, OdooValue>, was: &BTreeMap<String, OdooValue>| {
        displaced("res.partner", &fields, (&wanted, merge), Some(was), found)
    };
    let (nothing, was) = (Merge::default(), found("before", "contact"));
    assert_eq!(again(&nothing, &found("ours", "contact"), &was), []);
    assert_eq!(
        again(&nothing, &found("Odoo's", "contact"), &was),
        [("name".to_owned(), text("ours"))]
    );
    let theirs = Merge {
        kept: vec!["name".to_owned(), "type".to_owned()],
        send: vec![("type".to_owned(), text("other"))],
        ..Merge::default()
    };
    let restored = [("name".to_owned(), text("before"))];
    assert_eq!(
        again(&theirs, &found("Odoo's", "other"), &was),
        restored,
        "and what was sent for it stays"
    );
}

#[test]
fn an_address_that_was_never_ours_is_the_companys() {
    let fields = ["name", "city", "type", "parent_id"].map(|name| match name {
        "type" => TargetField::new(name, "selection"),
        "parent_id" => TargetField::new(name, "many2one"),
        _ => TargetField::new(name, "char"),
    });
    let current = |kind: &str| {
        BTreeMap::from([
            ("city".to_owned(), text("Natal")),
            ("type".to_owned(), text(kind)),
            ("parent_id".to_owned(), OdooValue::Link(Reference::Id(9))),
        ])
    };
    let digest = |value: &OdooValue| field_digest("res.partner", &fields[1], value);
    let (blank, own) = (digest(&OdooValue::Empty), digest(&text("Natal")));
    for (kind, last, wanted, sent, kept, conflict) in [
        // nothing is wanted: it has the company's, and nobody is told
        ("contact", Some(&blank), OdooValue::Empty, 0, 0, 0),
        ("contact", None, OdooValue::Empty, 0, 0, 0),
        // a person's is never emptied
        ("contact", Some(&String::new()), OdooValue::Empty, 0, 1, 0),
        // its own comes: type goes with it
        ("contact", Some(&blank), text("Olinda"), 2, 1, 0),
        ("other", Some(&blank), text("Olinda"), 0, 1, 1),
        ("contact", Some(&own), OdooValue::Empty, 2, 1, 0),
    ] {
        let known = last.map(|last| ("city".to_owned(), last.clone()));
        let last = known.into_iter().chain([("name".to_owned(), "x".to_owned())]).collect();
        let wanted = [("city".to_owned(), wanted)];
        let merge = super::merge("res.partner", &fields, &current(kind), &wanted, &last, false, false);
        let found = (merge.send.len(), merge.kept.len(), merge.conflicts.len());
        assert_eq!(found, (sent, kept, conflict), "{kind} {wanted:?} {merge:?}");
    }
}

fn text(text: &str) -> OdooValue {
    OdooValue::Text(text.to_owned())
}

fn links(ids: &[i64]) -> OdooValue {
    OdooValue::Links(ids.iter().copied().map(Reference::Id).collect())
}

const FIELDS: [(&str, &str); 9] = [
    ("name", "char"),
    ("comment", "html"),
    ("color", "integer"),
    ("active", "boolean"),
    ("type", "selection"),
    ("category_id", "many2many"),
    ("latitude", "float"),
    ("parent_id", "many2one"),
    ("website", "char"),
];

fn field(name: &str) -> TargetField {
    let ttype = FIELDS.iter().find(|(other, _)| *other == name).unwrap().1;
    TargetField {
        digits: (ttype == "float").then_some(2),
        ..TargetField::new(name, ttype)
    }
}

fn merge(name: &str, now: OdooValue, wanted: OdooValue, last: Option<&OdooValue>, adopted: bool) -> Merge {
    merge_by(name, now, wanted, last, adopted, false)
}

fn merge_by(
    name: &str,
    now: OdooValue,
    wanted: OdooValue,
    last: Option<&OdooValue>,
    adopted: bool,
    overwrite: bool,
) -> Merge {
    let fields: Vec<TargetField> = FIELDS.iter().map(|(name, _)| field(name)).collect();
    let current = BTreeMap::from([(name.to_owned(), now)]);
    // a record whose ledger is not lost has a digest of something
    let mut digests: BTreeMap<String, String> = last
        .iter()
        .map(|last| (name.to_owned(), field_digest("res.partner", &field(name), last)))
        .collect();
    if !adopted {
        digests.insert("other".to_owned(), "0".to_owned());
    }
    super::merge(
        "res.partner",
        &fields,
        &current,
        &[(name.to_owned(), wanted)],
        &digests,
        adopted,
        overwrite,
    )
}

#[test]
fn what_was_written_last_changes_emptiness_is_filled_and_the_rest_is_theirs() {
    let (none, float) = (|| OdooValue::Empty, OdooValue::Float);
    for (name, now, wanted, last, adopted, sent, kept) in [
        ("name", text("a"), text("b"), Some(text("a")), false, true, false),
        ("name", text("x"), text("b"), Some(text("a")), false, false, true),
        ("name", text("b"), text("b"), Some(text("a")), false, false, false),
        ("name", text("  "), text("b"), Some(text("a")), false, true, false),
        ("name", text("x"), text("b"), None, true, false, true),
        ("name", none(), text("b"), None, true, true, false),
        ("name", text("x"), none(), None, true, false, true),
        ("name", text("a"), none(), Some(text("a")), true, true, false),
        (
            "comment",
            text("<p>a</p>"),
            text("b"),
            Some(text("a")),
            false,
            true,
            false,
        ),
        ("comment", text("<p><br></p>"), text("b"), None, true, true, false),
        (
            "color",
            OdooValue::Integer(0),
            OdooValue::Integer(3),
            None,
            true,
            true,
            false,
        ),
        (
            "active",
            OdooValue::Boolean(false),
            OdooValue::Boolean(true),
            None,
            true,
            false,
            true,
        ),
        ("type", none(), text("other"), None, true, true, false),
        ("type", text("contact"), text("other"), None, true, false, true),
        (
            "latitude",
            float(1.23),
            float(2.0),
            Some(float(1.234_567)),
            false,
            true,
            false,
        ),
        (
            "latitude",
            float(1.23),
            float(1.229),
            Some(float(1.234_567)),
            false,
            true,
            false,
        ),
        (
            "latitude",
            float(1.23),
            float(1.234_567),
            Some(float(1.234_567)),
            false,
            false,
            false,
        ),
        ("latitude", float(0.0), float(1.0), Some(none()), false, true, false),
        (
            "website",
            text("http://a.br"),
            text("b.br"),
            Some(text("a.br")),
            false,
            true,
            false,
        ),
    ] {
        let case = format!("{name}: {now:?} {wanted:?} {last:?}");
        let merge = merge(name, now, wanted, last.as_ref(), adopted);
        assert_eq!(
            (merge.send.len(), merge.kept.len()),
            (usize::from(sent), usize::from(kept)),
            "{case}"
        );
    }
}

#[test]
fn what_is_theirs_is_overwritten_only_where_that_is_asked_for_and_its_former_value_is_worth_keeping() {
    let none = || OdooValue::Empty;
    for (name, now, wanted, last, sent, conflicts, foreign) in [
        ("name", text("a"), text("b"), Some(text("a")), true, false, false),
        ("name", text("x"), text("b"), Some(text("a")), true, true, true),
        ("name", text("x"), text("b"), None, true, true, true),
        ("name", none(), text("b"), None, true, false, true),
        ("name", text("x"), none(), None, true, true, true),
        ("name", text("b"), text("b"), None, false, false, false),
        // 9 is a person's, 2 was taken away by a person
        (
            "category_id",
            links(&[1, 9]),
            links(&[1, 2]),
            Some(links(&[1, 2])),
            true,
            true,
            true,
        ),
        ("category_id", links(&[9]), links(&[1]), None, true, false, true),
        ("category_id", links(&[9]), links(&[]), None, false, false, false),
    ] {
        let case = format!("{name}: {now:?} {wanted:?} {last:?}");
        let merge = merge_by(name, now, wanted, last.as_ref(), true, true);
        assert_eq!(
            (
                !merge.send.is_empty(),
                !merge.conflicts.is_empty(),
                !merge.foreign.is_empty()
            ),
            (sent, conflicts, foreign),
            "{case}: {merge:?}"
        );
        assert!(merge.unlink.is_empty() && merge.kept.is_empty(), "{case}");
    }
}

#[test]
fn links_are_merged_three_ways() {
    for (now, wanted, last, add, remove, there) in [
        (
            vec![1, 2],
            vec![1, 3],
            Some(vec![1, 2]),
            vec![3],
            vec![2],
            Some(vec![1, 3]),
        ),
        // 9 is a person's, 2 was taken away by a person
        (
            vec![1, 9],
            vec![1, 2, 3],
            Some(vec![1, 2]),
            vec![3],
            vec![],
            Some(vec![1, 3]),
        ),
        (vec![9], vec![1], None, vec![], vec![], None),
        (vec![1, 9], vec![1], None, vec![], vec![], Some(vec![1])),
        (vec![], vec![1], None, vec![1], vec![], Some(vec![1])),
        (vec![1], vec![1], None, vec![], vec![], Some(vec![1])),
        (vec![1], vec![], Some(vec![1]), vec![], vec![1], Some(vec![])),
    ] {
        let case = format!("{now:?} {wanted:?} {last:?}");
        let conflict = there.as_ref() != Some(&wanted);
        let merge = merge(
            "category_id",
            links(&now),
            links(&wanted),
            last.as_deref().map(links).as_ref(),
            true,
        );
        let sent: Vec<OdooValue> = merge.send.into_iter().map(|(_, value)| value).collect();
        let unlinked: Vec<i64> = merge.unlink.into_iter().flat_map(|(_, ids)| ids).collect();
        let add = if add.is_empty() { vec![] } else { vec![links(&add)] };
        assert_eq!((sent, unlinked), (add, remove), "{case}");
        assert_eq!(merge.links.get("category_id"), there.as_ref(), "{case}");
        assert_eq!(merge.kept.is_empty(), there.is_some(), "{case}");
        assert_eq!(!merge.conflicts.is_empty(), conflict, "{case}");
    }
}

#[test]
fn what_people_linked_before_us_stays_when_the_source_drops_it_and_what_they_took_away_stays_away() {
    let merged = |now: &[i64], wanted: &[i64], last: &str| {
        let fields = [field("category_id")];
        let current = BTreeMap::from([("category_id".to_owned(), links(now))]);
        let last = BTreeMap::from([("category_id".to_owned(), last.to_owned())]);
        let wanted = [("category_id".to_owned(), links(wanted))];
        super::merge("res.partner", &fields, &current, &wanted, &last, false, false)
    };
    // a person links 9, then the source has it, too
    let both = merged(&[1, 9], &[1, 9], "[1]");
    assert!(both.send.is_empty() && both.unlink.is_empty());
    let ledger = link_digest(&BTreeSet::from([1, 9]), &both.linked_by_people["category_id"]);
    assert_eq!(ledger, "[1,9]-[9]");
    // the source drops both: ours goes
    assert_eq!(
        merged(&[1, 9], &[], &ledger).unlink,
        [("category_id".to_owned(), vec![1])]
    );
    // the person takes it away
    let taken = merged(&[1], &[1, 9], &ledger);
    assert!(taken.send.is_empty() && taken.linked_by_people.is_empty());
    // and what the source gives less of than it has is not taken away
    let mut short = merged(&[1, 2], &[1], "[1,2]");
    short.keep_links();
    assert!(short.unlink.is_empty() && short.still_linked["category_id"] == BTreeSet::from([2]));
}

#[test]
fn a_kind_of_address_that_a_person_chose_is_told_where_it_is_written_over() {
    let fields = [TargetField::new("type", "selection"), TargetField::new("city", "char")];
    let wanted = [("type".to_owned(), text("contact")), ("city".to_owned(), text("Natal"))];
    let last = BTreeMap::from([(
        "type".to_owned(),
        field_digest("res.partner", &fields[0], &text("contact")),
    )]);
    for (now, told) in [("delivery", true), ("other", false)] {
        let current = BTreeMap::from([
            ("type".to_owned(), text(now)),
            ("parent_id".to_owned(), OdooValue::Link(Reference::Id(9))),
            ("city".to_owned(), text("Natal")),
        ]);
        let merge = super::merge("res.partner", &fields, &current, &wanted, &last, false, true);
        assert_eq!(merge.conflicts.contains(&"type".to_owned()), told, "{now} {merge:?}");
    }
}

#[test]
fn who_goes_to_another_company_does_not_take_its_number_along() {
    let fields = [
        TargetField::new("parent_id", "many2one"),
        TargetField::new("is_company", "boolean"),
    ];
    let company = |id| ("parent_id".to_owned(), OdooValue::Link(Reference::Id(id)));
    let is_company = |yes| ("is_company".to_owned(), OdooValue::Boolean(yes));
    let current = BTreeMap::from([company(1), is_company(false), ("vat".to_owned(), text("1.000"))]);
    let last = BTreeMap::from([
        (
            "parent_id".to_owned(),
            field_digest("res.partner", &fields[0], &company(1).1),
        ),
        (
            "is_company".to_owned(),
            field_digest("res.partner", &fields[1], &OdooValue::Boolean(false)),
        ),
    ]);
    let sent = |wanted: Vec<(String, OdooValue)>| {
        super::merge("res.partner", &fields, &current, &wanted, &last, false, false).send
    };
    let gone = ("vat".to_owned(), OdooValue::Empty);
    let nobody = ("parent_id".to_owned(), OdooValue::Empty);
    assert_eq!(sent(vec![company(2)]), [company(2), gone.clone()]);
    assert_eq!(sent(vec![nobody.clone()]), [nobody, gone]);
    assert_eq!(sent(vec![company(1)]), []);
    // one that becomes a company has its own
    let own = ("vat".to_owned(), text("11.000"));
    assert_eq!(sent(vec![is_company(true), own.clone()]), [is_company(true), own]);
}

#[test]
fn a_partner_that_keeps_its_address_as_other_is_not_made_a_contact_again() {
    let current = BTreeMap::from([
        ("street".to_owned(), text("Rua 1")),
        ("type".to_owned(), text("other")),
        ("parent_id".to_owned(), OdooValue::Link(Reference::Id(7))),
    ]);
    let wanted = [("type".to_owned(), text("contact"))];
    let merge = super::merge(
        "res.partner",
        &[field("type")],
        &current,
        &wanted,
        &BTreeMap::new(),
        true,
        true,
    );
    assert_eq!(
        merge,
        Merge {
            kept: vec!["type".to_owned()],
            ..Merge::default()
        }
    );
    assert!(keeps_the_address("res.partner", "type", &text("other")));
}

#[test]
fn a_lost_ledger_makes_the_values_of_our_records_ours_and_of_adopted_ones_theirs() {
    let current = BTreeMap::from([("name".to_owned(), text("x"))]);
    let wanted = [("name".to_owned(), text("b"))];
    for (adopted, sent) in [(false, 1), (true, 0)] {
        let merge = super::merge(
            "crm.tag",
            &[field("name")],
            &current,
            &wanted,
            &BTreeMap::new(),
            adopted,
            false,
        );
        assert_eq!(merge.send.len(), sent);
    }
}

#[test]
fn a_contact_with_an_address_of_its_own_becomes_other_when_it_gets_a_parent() {
    let parent = [("parent_id".to_owned(), OdooValue::Link(Reference::Id(7)))];
    let other = ("type".to_owned(), text("other"));
    for (model, street, kind, becomes_other) in [
        ("res.partner", "Rua 1", "contact", true),
        ("res.partner", "", "contact", false),
        ("res.partner", "Rua 1", "invoice", false),
        ("crm.lead", "Rua 1", "contact", false),
    ] {
        let current = BTreeMap::from([("street".to_owned(), text(street)), ("type".to_owned(), text(kind))]);
        let fields = [field("parent_id")];
        let merge = super::merge(model, &fields, &current, &parent, &BTreeMap::new(), true, false);
        assert_eq!(merge.send.contains(&other), becomes_other, "{model} {street} {kind}");
        let former = merge.foreign.contains(&"type".to_owned());
        assert_eq!(former, becomes_other, "what it was is kept: {merge:?}");
        assert_eq!(merge.kept, if becomes_other { vec!["type".to_owned()] } else { vec![] });
    }
}

#[test]
fn a_digest_knows_a_value_again_as_odoo_gives_it_back() {
    for (name, written, read) in [
        ("comment", text("a & b"), text("<p>a &amp; b</p>")),
        ("website", text("a.br"), text("http://a.br")),
        ("name", text("a "), text("a")),
        ("name", OdooValue::Empty, text("")),
        ("color", OdooValue::Empty, OdooValue::Integer(0)),
        ("active", OdooValue::Empty, OdooValue::Boolean(false)),
        ("category_id", links(&[3, 1]), links(&[1, 3])),
    ] {
        let digest = field_digest("res.partner", &field(name), &written);
        let last = BTreeMap::from([(name.to_owned(), digest)]);
        let again = super::merge(
            "res.partner",
            &[field(name)],
            &BTreeMap::from([(name.to_owned(), read)]),
            &[(name.to_owned(), written)],
            &last,
            false,
            false,
        );
        assert_eq!((again.send, again.kept), (vec![], vec![]), "{name}");
    }
    assert_eq!(field_digest("res.partner", &field("name"), &text("a")).len(), 16);
}
