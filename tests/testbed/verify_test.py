#!/usr/bin/env python3
"""Proves that verify.py sees: it passes over an Odoo that is right, and names each single thing that is wrong.

    ODOO_URL=… ODOO_DB=… ODOO_API_KEY=… verify_test.py      an Odoo of its own: the sample is put into it and stays
"""

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verify

BED = os.path.dirname(os.path.abspath(__file__))
EXPORTS = os.path.join(os.path.dirname(os.path.dirname(BED)), "deploy", "samples", "pipz-to-odoo", "exports")
PEOPLE = ["amelia.prado@vendas.example", "otto.brandao@vendas.example", "zuleica.neri@vendas.example"]
MODULE = "crmferry_pipz_acme"
QUIET = {"tracking_disable": True, "no_reset_password": True, "_partners_skip_fields_sync": True, "active_test": False}
GONE = "eugenio.saraiva@vendas.example"
FILTERS = {  # segments that Odoo can say, where it speaks English alone
    "501": [("city", "=", "Recife"), ("category_id.name", "=", "cliente")],
    "502": ["|", ("category_id.name", "=", "vip"), ("category_id.name", "=", "revenda"), "!", ("category_id.name", "=", "inadimplente")],
    "503": [(verify.INDEX, ">", 70), ("x_pipz_optin", "=", True), ("email", "!=", False)],
    "505": [("x_pipz_created", ">=", "2026-01-01 03:00:00")],
    "508": [("state_id.code", "in", ["SP", "MG", "ES", "RJ"])],
    "509": ["|", ("function", "ilike", "100\\%\\_real"), ("function", "=ilike", "Dir%")],
    "513": [("email", "=ilike", "%@correio.example")],
}


def invert(names):
    return {name: ident for ident, name in names.items()}


class Loader:
    """Makes what is expected, in the bluntest way there is."""

    def __init__(self, odoo, expected):
        self.odoo, self.expected, self.count = odoo, expected, 0

    def load(self):
        self.campaigns()
        for shape in verify.SHAPES:
            for source in shape[1]:
                self.fields(shape[2], self.expected.records[source])
                self.create(shape, self.expected.records[source])
        self.history()

    def write(self, folder):
        """The documents."""
        os.mkdir(os.path.join(folder, "handover"))
        rules = verify.by_key(self.expected.rows["segment"], "id")
        self.document(folder, "smart-segments", verify.SEGMENT, {i: {
            "name": r["name"], "members": r["count"], "definition": "" if not r["rules"] else "\n".join(verify.outline(r["rules"])) if verify.is_plain(r["rules"]) else json.dumps(r["rules"], ensure_ascii=False),
            "odooDomain": [("is_company", "=", False), *FILTERS[i]] if i in FILTERS else "", "notExpressible": "" if i in FILTERS or not r["rules"] else "some of it",
            "advice": "Contacts, Filters" if i in FILTERS else "Tag the members"} for i, r in rules.items()})
        for _, name, columns, make in verify.DOCUMENTS:
            self.document(folder, name, columns, make(self.expected))

    @staticmethod
    def document(folder, name, columns, rows):
        with open(os.path.join(folder, "handover", f"{name}.csv"), "w", encoding="utf-8", newline="") as file:
            out = csv.DictWriter(file, ["key", *columns])
            out.writeheader()
            out.writerows({"key": key, **row} for key, row in rows.items())

    def campaigns(self):
        """The model, who may do what with it, and its menu."""
        groups = {r["name"]: r["res_id"] for r in self.odoo.all("ir.model.data", ["name", "res_id"], [["model", "=", "res.groups"]])}
        rights = [[0, 0, {"name": g, "group_id": groups[g], "perm_read": True, "perm_write": full, "perm_create": full, "perm_unlink": full}] for g, full in (("group_user", False), ("group_mass_mailing_user", True), ("group_system", True))]
        self.odoo.call("ir.model", "create", vals_list=[{"name": "Pipz campaign", "model": "x_pipz_campaign", "access_ids": rights}])
        action = self.odoo.call("ir.actions.act_window", "create", vals_list=[{"name": "Pipz campaign", "res_model": "x_pipz_campaign"}])[0]
        root = self.odoo.call("ir.ui.menu", "search", domain=[["name", "=", "Email Marketing"]])[0]
        self.odoo.call("ir.ui.menu", "create", vals_list=[{"name": "Pipz campaign", "parent_id": root, "action": f"ir.actions.act_window,{action}"}])

    def history(self):
        """One message after the other, as the chatter is to show them."""
        names = verify.Odoo(*self.odoo.given)
        partners, kinds = invert(names.called_by["parent_id"]), invert(names.called("mail.message.subtype"))
        made = {}
        for record in self.expected.records["events"]:
            self.count += 1
            values = {"id": f"r{self.count}", "model": "res.partner", "res_id": partners[record["name"]], "date": record["date"], "subtype_id": kinds[record["kind"]], "message_type": record["type"],
                      "subject": record["subject"] or False, "body": record["body"].replace("&", "&amp;").replace("<", "&lt;"), "author_id": partners[record["author"]] if record["author"] else False,
                      "email_from": record["email_from"] or False, "reply_to": False, "parent_id": made.get(record["parent"], False), "is_internal": True}
            made[record["id"]] = self.odoo.call("mail.message", "create", vals_list=[values], context={**QUIET, "_import_current_module": MODULE})[0]

    def fields(self, model, records):
        there = self.odoo.call(model, "fields_get", attributes=["type"])
        model_id = self.odoo.call("ir.model", "search", domain=[["model", "=", model]])[0]
        for name in sorted({f for r in records for f in r if f.startswith("x_") and f not in there}):
            values = {"name": name, "model_id": model_id, "field_description": name.title(), "state": "manual", "ttype": verify.typed()[model, name]}
            if values["ttype"] == "many2many":
                values["relation"] = "mailing.list"
            if values["ttype"] == "selection":
                values["selection_ids"] = [[0, 0, {"value": v, "name": v.title()}] for v in sorted({r[name] for r in records if r.get(name)})]
            self.odoo.call("ir.model.fields", "create", vals_list=[values])

    def create(self, shape, records):
        label, _, model, _, naming = shape
        names = verify.Odoo(*self.odoo.given)
        if label == "users":                                       # they are there already: adopted
            self.odoo.call("ir.model.data", "create", vals_list=[
                {"module": MODULE, "name": "users_" + r["name"], "model": model, "res_id": invert(names.called_by["user_id"])[r["name"]]} for r in records])
            return
        values = []
        for record in records:
            row = {naming: record["name"], **{verify.COLUMN.get(f, f): self.value(f, v, names) for f, v in record.items() if f not in ("name", "won_status")}}
            values.append(row)
        for row in values:
            self.count += 1
            if model == "crm.team":                                # makes no external id on the way
                ident = self.odoo.call(model, "create", vals_list=[row], context=QUIET)[0]
                self.odoo.call("ir.model.data", "create", vals_list=[{"module": MODULE, "name": f"r{self.count}", "model": model, "res_id": ident}])
            else:
                row["id"] = f"r{self.count}"
        if model != "crm.team" and values:
            self.odoo.call(model, "create", vals_list=values, context={**QUIET, "_import_current_module": MODULE})

    @staticmethod
    def value(field, wanted, names):
        called = names.called_by.get(field)
        if field == "subscription_ids":                            # two lists may have one name
            lists, ids = names.called_by["x_list_ids"], {}
            for ident, name in lists.items():
                ids.setdefault(name, []).append(ident)
            return [[0, 0, {"list_id": ids[name].pop(), "opt_out": out}] for name, out in wanted]
        if isinstance(wanted, set):
            return [[6, 0, sorted(invert(called)[w] for w in wanted)]]
        if called is not None:
            return invert(called)[wanted] if wanted else False
        if isinstance(wanted, verify.Text):
            return wanted.replace("&", "&amp;").replace("<", "&lt;")
        return False if wanted is None else wanted


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        given = [os.environ[n] for n in ("ODOO_URL", "ODOO_DB", "ODOO_API_KEY")]
        url, database, key = given
        subprocess.run([sys.executable, os.path.join(BED, "odoo", "users.py"), "--url", url, "--db", database, "--key", key, *PEOPLE], check=True)
        first = verify.Odoo(*given)
        former = {"name": GONE, "login": GONE, "email": GONE, "id": "inactiveUsers_5"}
        ident = first.call("res.users", "create", vals_list=[former], context={**QUIET, "_import_current_module": MODULE})
        first.call("res.users", "write", ids=ident, vals={"active": False})
        cls.odoo = verify.Odoo(*given)
        cls.odoo.given = given
        cls.loader = Loader(cls.odoo, verify.Expected(EXPORTS, cls.odoo))
        cls.loader.load()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.results = folder.name
        cls.loader.write(cls.results)

    def verify(self, *more):
        url, database, key = self.odoo.given
        return subprocess.run([sys.executable, os.path.join(BED, "verify.py"), EXPORTS, "--url", url, "--db", database, "--key", key, "--results", self.results, *more], capture_output=True, text=True)

    def seen(self, sentence, *rows):
        """What is wrong is named, and which of the twelve rows have failed, where they are given."""
        done = self.verify()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(sentence, done.stdout)
        if rows:
            self.assertEqual(re.findall(r"^(\S.*?) +FAIL +\d+$", done.stdout, re.M), list(rows), done.stdout)

    def find(self, model, name, field="name"):
        return self.odoo.call(model, "search_read", domain=[[field, "=like", name]], fields=["id"], context={"active_test": False}, limit=1, order="id")[0]["id"]

    def written(self, model, ident, field, value, sentence, *rows):
        before = self.odoo.call(model, "read", ids=[ident], fields=[field])[0][field]
        if isinstance(before, list):
            before = [[6, 0, before]] if value == [[5]] else before[0]
        last = self.odoo.call("mail.message", "search", domain=[], order="id desc")     # with a limit, one that nobody may read would be all
        self.odoo.call(model, "write", ids=[ident], vals={field: value}, context=QUIET)
        try:
            self.seen(sentence, *rows)
        finally:
            self.odoo.call(model, "write", ids=[ident], vals={field: before}, context=QUIET)
            told = self.odoo.call("mail.message", "search", domain=[["id", ">", last[0]], ["tracking_value_ids", "!=", False]])
            if told:                                               # some fields are tracked all the same
                self.odoo.call("mail.message", "unlink", ids=told)

    def made(self, model, values, sentence, named=False):
        values = {**values, "id": "surplus"} if named else values
        ident = self.odoo.call(model, "create", vals_list=[values], context={**QUIET, "_import_current_module": MODULE})
        try:
            self.seen(sentence)
        finally:
            self.odoo.call(model, "unlink", ids=ident)

    def test_what_is_right_passes(self):
        done = self.verify()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("no difference", done.stdout)
        rows = dict(re.findall(r"^(\S.*?) +ok +(\d+)$", done.stdout, re.M))
        self.assertEqual(list(rows), [row for row, *_ in verify.ROWS])
        self.assertEqual(len(rows), 12)
        self.assertNotIn("0", rows.values(), "nothing of a row proves nothing")

    def test_each_of_the_twelve_rows_can_fail(self):
        contact = self.find("res.partner", "Zoë%")
        message = self.odoo.call("mail.message", "search", domain=[["model", "=", "res.partner"], ["message_type", "=", "comment"], ["parent_id", "!=", False]], limit=1)[0]
        for model, ident, field, value, sentence, *rows in [
                ("res.partner", contact, "function", "Outra", "contacts: ", "Contact"), ("res.partner", self.find("res.partner", "%Ltda"), "phone", "1", "companies: ", "Company"),
                ("crm.lead", self.find("crm.lead", "Proposta%"), "expected_revenue", 1.25, "deals: ", "Deal"), ("crm.lost.reason", self.find("crm.lost.reason", "Preço"), "name", "x", "lost reasons: lost", "Deal"),
                ("crm.stage", self.find("crm.stage", "Habilitação"), "sequence", 0, "stages: those of 'Licitações' should be", "Pipeline stage"),
                ("crm.stage", self.find("crm.stage", "Habilitação"), "x_pipz_probability", 31, ": x_pipz_probability should be 30", "Pipeline stage"),
                ("mail.message", message, "body", "<p>other</p>", ": body should be", "Activity"), ("x_pipz_campaign", self.find("x_pipz_campaign", "Natal", "x_name"), "x_sent", 1, ": x_sent should be", "E-mail campaign"),
                ("res.users", self.find("res.users", GONE, "login"), "active", True, f"users: '{GONE}' should be archived", "User"),
                ("res.partner", contact, verify.INDEX, 36, "engagement index: ", "Contact", "Customer engagement index")]:
            with self.subTest(rows[-1], field=field):
                self.written(model, ident, field, value, sentence, *rows)

    def test_a_tag_of_another_name_fails_its_row(self):
        ident = self.find("crm.tag", "urgente")
        self.odoo.call("crm.tag", "write", ids=[ident], vals={"name": "urgent"})
        try:
            self.seen("deal tags: lost 'urgente'", "Deal", "Tag")
        finally:
            self.odoo.call("crm.tag", "write", ids=[ident], vals={"name": "urgente"})

    def test_what_is_wrong_with_a_document_is_named(self):
        for name, row, key, column, value, sentence in [
                ("smart-segments", "Smart segment", "502", "definition", "all of\n  tags contains vip", "segments: '502': definition should be"), ("smart-segments", "Smart segment", "512", "definition", "R1", "segments: '512': the definition does not say"),
                ("smart-segments", "Smart segment", "501", "odooDomain", "[('city', '=', 'Recife')]", "segments: '501': the filter finds"), ("smart-segments", "Smart segment", "508", "odooDomain", "", "segments: '508': a filter should be there"),
                ("smart-segments", "Smart segment", "506", "odooDomain", "[('lang', '=', 'pt_BR')]", "segments: '506': a filter should not be there"), ("smart-segments", "Smart segment", "504", "notExpressible", "", "segments: '504': what cannot be said should be named"),
                ("smart-segments", "Smart segment", "513", "members", "2", "segments: '513': members should be '1'"), ("smart-segments", "Smart segment", "501", "key", "500", "segments: lost '501'"),
                ("automations", "Automation", "801", "trigger", "", "automations: '801': trigger should be"), ("automations", "Automation", "803", "conditions", "", "automations: '803': conditions should be"),
                ("automations", "Automation", "809", "actions", "wait", "automations: '809': actions should be"), ("automations", "Automation", "806", "advice", "", "automations: '806': advice should be"),
                ("automations", "Automation", "802", "key", "810", "automations: '810' is nothing of the export"), ("stage-triggers", "Pipeline stage", "104", "triggers", "[]", "stage triggers: '104': triggers should be"),
                ("list-members-left-out", "E-mail campaign", "910__990001", "list", "1", "members left out: ")]:
            with self.subTest(name, column=column, key=key):
                columns, rows = verify.document(self.results, name)
                wrong = {r["key"]: {**r, column: value} if r["key"] == key else r for r in rows}
                self.loader.document(self.results, name, columns[1:], {r.pop("key"): r for r in map(dict, wrong.values())})
                try:
                    self.seen(sentence, row)
                finally:
                    self.loader.document(self.results, name, columns[1:], {r["key"]: {c: r[c] for c in columns[1:]} for r in rows})

    def test_a_custom_field_too_many_and_one_of_another_type_are_seen(self):
        model = self.odoo.call("ir.model", "search", domain=[["model", "=", "res.partner"]])[0]
        surplus = {"name": "x_pipz_uuid", "model_id": model, "field_description": "UUID", "state": "manual", "ttype": "char"}
        ident = self.odoo.call("ir.model.fields", "create", vals_list=[surplus])
        try:
            self.seen("custom fields: nobody asked for x_pipz_uuid of res.partner", "Custom field")
        finally:
            self.odoo.call("ir.model.fields", "unlink", ids=ident)
        with unittest.mock.patch.dict(verify.FIELDS, {"crm.stage": {"integer": "probability order"}}):
            _, problems = verify.custom_fields(self.odoo)
        self.assertEqual(problems, ["custom fields: the field x_pipz_order of crm.stage is not there", "custom fields: x_pipz_probability of crm.stage should be a manual integer, is a manual float"])

    def test_a_user_whom_nobody_should_have_made_is_seen(self):
        for login, named, sentence in ("visitante@fora.example", True, "users: 'visitante@fora.example' was made, which is for people to do"), ("x@y.example", True, "'x@y.example' is nobody of the export"), ("x@y.example", False, "'x@y.example' was made on the way"):
            with self.subTest(sentence):
                values = {"name": login, "login": login, "email": login, **({"id": "surplus"} if named else {})}
                ident = self.odoo.call("res.users", "create", vals_list=[values], context={**QUIET, "_import_current_module": MODULE})
                partner = self.odoo.call("res.users", "read", ids=ident, fields=["partner_id"])[0]["partner_id"][0]
                try:
                    self.seen(sentence)
                finally:
                    self.odoo.call("res.users", "unlink", ids=ident)
                    self.odoo.call("res.partner", "unlink", ids=[partner])

    def test_without_results_the_rows_in_writing_are_not_called_good(self):
        url, database, key = self.odoo.given
        done = subprocess.run([sys.executable, os.path.join(BED, "verify.py"), EXPORTS, "--url", url, "--db", database, "--key", key], capture_output=True, text=True)
        self.assertEqual((done.returncode, len(re.findall(r"^\S.*? +ok +\d+$", done.stdout, re.M))), (0, 10), done.stdout)

    def test_each_kind_of_wrong_value_is_named(self):
        deal, contact = self.find("crm.lead", "Proposta%"), self.find("res.partner", "Zoë%")
        company = self.find("res.partner", "%Ltda")
        for model, ident, field, value in [("crm.lead", deal, "expected_revenue", 1.25), ("crm.lead", deal, "description", "other"), ("crm.lead", deal, "date_deadline", "2030-01-01"),
                                           ("crm.lead", deal, "x_pipz_created", "2020-01-01 00:00:00"), ("crm.lead", deal, "partner_id", False), ("crm.lead", deal, "lost_reason_id", False), ("crm.lead", deal, "tag_ids", [[5]]),
                                           ("res.partner", company, "category_id", [[5]]),
                                           ("res.partner", contact, "function", "Outra"), ("res.partner", contact, "x_pipz_birthdate", False), ("res.partner", contact, "x_pipz_optin", False),
                                           ("res.partner", company, "website", "https://www.other.example"), ("res.partner", company, "x_pipz_monthly_spend", 0.01), ("res.partner", company, "country_id", 1)]:
            with self.subTest(field):
                self.written(model, ident, field, value, f": {field} should be ")

    def test_each_thing_that_is_wrong_with_a_message_is_named(self):
        chat = self.odoo.call("mail.message", "search_read", domain=[["parent_id", "!=", False], ["message_type", "=", "comment"], ["model", "=", "res.partner"]], fields=["date"], limit=1)[0]
        for field, value, told in [("date", "2020-01-01 00:00:00", "date"), ("subtype_id", 1, "kind"), ("message_type", "notification", "type"), ("body", "<p>other</p>", "body"), ("subject", "Other", "subject"),
                                   ("author_id", False, "author"), ("email_from", "x@y.example", "email_from"), ("parent_id", False, "parent"), ("is_internal", False, "internal")]:
            with self.subTest(field):
                self.written("mail.message", chat["id"], field, value, f": {told} should be ")

    def test_messages_in_another_order_are_seen(self):
        rows = self.odoo.call("mail.message", "search_read", domain=[["model", "=", "res.partner"], ["message_type", "=", "comment"]], fields=["res_id", "date"], order="id")
        one, other = next((a, b) for a in rows for b in rows if a["id"] < b["id"] and a["res_id"] == b["res_id"] and a["date"] != b["date"])
        self.odoo.call("mail.message", "write", ids=[one["id"]], vals={"date": other["date"]})
        self.written("mail.message", other["id"], "date", one["date"], ": date should be ")
        self.odoo.call("mail.message", "write", ids=[one["id"]], vals={"date": one["date"]})

    def test_a_message_without_our_name_and_one_too_many_are_seen(self):
        partner = self.find("res.partner", "Zoë%")
        values = {"model": "res.partner", "res_id": partner, "body": "x", "email_from": False, "reply_to": False}
        self.made("mail.message", values, "events: orphan ")
        self.made("mail.message", values, "messages, ", named=True)

    def test_what_was_sent_to_someone_is_seen(self):
        partner = self.find("res.partner", "Zoë%")
        ident = self.odoo.call("mail.mail", "create", vals_list=[{"subject": "x", "state": "cancel", "model": "res.partner", "res_id": partner}])
        try:
            self.seen("mail.mail has 1 records")
        finally:
            self.odoo.call("mail.mail", "unlink", ids=ident)
        ident = self.odoo.call("mail.followers", "create", vals_list=[{"res_model": "res.partner", "res_id": partner, "partner_id": partner}])
        try:
            self.seen("mail.followers has 1 records")
        finally:
            self.odoo.call("mail.followers", "unlink", ids=ident)

    def test_what_is_wrong_with_campaigns_lists_and_opt_outs_is_named(self):
        campaign = self.find("x_pipz_campaign", "Natal", "x_name")
        for field, value in [("x_sent", 1), ("x_open_rate", 1.5), ("x_body", "other"), ("x_list_ids", [[5]]), ("x_status", "draft"), ("x_sent_at", "2020-01-01 00:00:00")]:
            with self.subTest(field):
                self.written("x_pipz_campaign", campaign, field, value, f": {field} should be ")
        out = self.odoo.call("mailing.subscription", "search", domain=[["opt_out", "=", True]])[:1]
        self.written("mailing.subscription", out[0], "opt_out", False, ": subscription_ids should be ")
        black = self.odoo.call("mail.blacklist", "search_read", domain=[], fields=["email"])[0]
        self.written("mail.blacklist", black["id"], "email", "other@correio.example", f"opt outs: lost '{black['email']}'")
        rule = self.odoo.call("ir.model.access", "search", domain=[["model_id.model", "=", "x_pipz_campaign"], ["perm_write", "=", False]])
        self.written("ir.model.access", rule[0], "perm_write", True, "campaigns: the rights of base.group_user should be ")

    def test_a_twin_is_seen(self):
        name = self.odoo.call("crm.lead", "read", ids=[self.find("crm.lead", "Proposta%")], fields=["name"])[0]["name"]
        self.made("crm.lead", {"name": name}, "is there 2 times, 1 expected", named=True)

    def test_an_orphan_is_seen(self):
        self.made("res.partner", {"name": "Sem dono"}, "'Sem dono': no external id of ours")

    def test_a_record_that_should_have_been_rejected_is_seen(self):
        self.made("res.partner", {"name": "Nobody", "is_company": True}, "'Nobody' is there 1 times, 0 expected", named=True)

    def test_a_lost_record_is_seen(self):
        ident = self.find("crm.tag", "urgente")
        self.odoo.call("crm.tag", "write", ids=[ident], vals={"name": "urgent"})
        try:
            self.seen("deal tags: lost 'urgente'")
        finally:
            self.odoo.call("crm.tag", "write", ids=[ident], vals={"name": "urgente"})

    def test_a_write_date_that_moved_is_seen(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(self.verify("--write-dates", file.name).returncode, 0)
            self.assertEqual(self.verify("--same-dates", file.name).returncode, 0)
            ident = self.find("crm.tag", "urgente")
            before = self.odoo.call("crm.tag", "read", ids=[ident], fields=["write_date"])
            while self.odoo.call("crm.tag", "read", ids=[ident], fields=["write_date"]) == before:
                self.odoo.call("crm.tag", "write", ids=[ident], vals={"color": 3})
            done = self.verify("--same-dates", file.name)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"crm.tag {ident}: write_date was", done.stdout)


if __name__ == "__main__":
    unittest.main()
