#!/usr/bin/env python3
"""Reads an export folder and an Odoo, and says whether the one arrived in the other. Shares no code with the project.

    verify.py EXPORTS --url http://127.0.0.1:8069 --db crm --key KEY [--results DIR] [--write-dates FILE | --same-dates FILE]

Everything is found by its name, never by its external id: so twins, orphans and records under a wrong id show. What must be
true is worked out here, from the rows, after the catalogue entry `pipz-to-odoo` and the sample's mapping.yaml. The Odoo is
one that held nothing but its own data and its users before. `--results` is the folder of `kubectl crmferry results`, or a
laptop's workspace: for what is handed over in writing. Prints a table, a line for each of the paper's twelve rows, and the
first 20 differences; exits 1 if any.
"""

import argparse
import ast
import collections
import contextlib
import csv
import datetime
import html
import io
import json
import math
import os
import re
import sys
import urllib.error
import urllib.request
import zoneinfo

ZONE = zoneinfo.ZoneInfo("America/Sao_Paulo")
LANGUAGES = {"pt-br": "pt_BR", "pt": "pt_BR", "en": "en_US", "es": "es_ES"}
KINDS = {"email_sent": "E-mail sent", "email_open": "E-mail opened", "link_click": "Link clicked", "page_view": "Page viewed", "form_submit": "Form submitted", "chat_message": "Chat"}
WON, LOST = ("won", "ganho", "ganha"), ("lost", "perdido", "perdida")


class Reject(Exception):
    """The row must not arrive."""


# ---- reading the export ------------------------------------------------------------------------------------------------
def decoded(data):
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_rows(folder, name):
    """The rows of one source object; a line that is none is given as None."""
    for ending in "csv", "jsonl":
        path = os.path.join(folder, f"{name}.{ending}")
        if os.path.exists(path):
            with open(path, "rb") as file:
                text = decoded(file.read())
            return list(from_csv(text) if ending == "csv" else from_lines(text))
    return []


def from_csv(text):
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter):
        yield {k: (v if v and v.strip() else None) for k, v in row.items()}


def from_lines(text):
    for line in filter(None, text.split("\n")):
        try:
            row = json.loads(line)
        except ValueError:
            yield None
            continue
        yield {k: (None if v is None or v in ([], {}) or isinstance(v, str) and not v.strip() else v) for k, v in row.items()}


def text(value):
    return None if value is None else str(value)


def number(value):
    if value is None or isinstance(value, (int, float)):
        return value
    plain = value.strip()
    if re.fullmatch(r"-?\d{1,3}(\.\d{3})*,\d+|-?\d+,\d+|-?\d{1,3}(\.\d{3})+", plain):
        plain = plain.replace(".", "").replace(",", ".")
    if not re.fullmatch(r"-?\d+(\.\d+)?", plain):
        raise Reject(f"not a number: {value}")
    return float(plain)


def integer(value):
    found = number(value)
    if found is not None and found != int(found):
        raise Reject(f"not whole: {value}")
    return None if found is None else int(found)


def moment(value):
    if value is None:
        return None
    for form in "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%d/%m/%Y", "%d/%m/%Y %H:%M":
        try:
            return datetime.datetime.strptime(value, form).replace(tzinfo=ZONE)
        except ValueError:
            continue
    raise Reject(f"no time: {value}")


def stamp(value):
    found = moment(value)
    return None if found is None else found.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def day(value):
    found = moment(value)
    return None if found is None else found.strftime("%Y-%m-%d")


def or_empty(read, value):
    try:
        return read(value)
    except Reject:
        return None


def yes(value):
    return str(value).strip().lower() in ("true", "1", "yes", "y", "on", "sim")


def items(value):
    return [] if value is None else value if isinstance(value, list) else [v for v in (p.strip() for p in value.split(",")) if v]


def thread(row):
    return (text(first(row["contact_id"], row["contact_email"])), row["conversation_id"])


def first(*values):
    return next((v for v in values if v is not None), None)


def required(value, what):
    if value is None:
        raise Reject(f"no {what}")
    return value


# ---- what must be in Odoo ----------------------------------------------------------------------------------------------
class Text(str):
    """Compared after HTML is taken off and white space is folded."""


class Host(str):
    """Compared by the host of an address."""


class Many(list):
    """Compared as they are counted, in no order."""


class Choice(str):
    """Compared with the label or the value of a selection."""


class Expected:
    """Every record that must be there, by object: name to fields. A reference is the name of what it refers to."""

    def __init__(self, folder, odoo):
        self.odoo = odoo
        self.rows = {name: read_rows(folder, name) for name in ("user", "pipeline", "stage", "company", "contact", "deal", "event", "list", "list_member", "campaign", "segment", "automation")}
        self.read = collections.Counter()
        self.rejected = collections.Counter()
        self.records = collections.defaultdict(list)
        self.key = collections.defaultdict(dict)          # object to source key to name in Odoo
        self.taken = collections.defaultdict(list)        # object to the rows that its records are made of
        for step in "users teams stages tags companies named_companies contacts opt_outs deals event_kinds events lists list_contacts campaigns".split():
            getattr(self, step)()

    def each(self, label, source, key, make):
        """One record for every key, made from its first row; what `make` refuses is rejected."""
        seen = set()
        for row in self.rows[source]:
            self.read[label] += 1
            try:
                ident = text(required(key(row) if row else None, "key"))
                if ident in seen:
                    continue
                seen.add(ident)                           # a rejected row keeps its key: the next one with it is a repetition
                record = make(row)
            except Reject:
                self.rejected[label] += 1
                continue
            self.records[label].append(record)
            self.taken[label].append(row)
            self.key[label][ident] = record["name"]

    def each_of(self, label, rows, key, make):
        """The same, of rows that are given."""
        self.rows[label] = rows
        self.each(label, label, key, make)

    def users(self):
        """Accounts that Odoo has, by login or e-mail; none is made."""
        def make(row):
            login = self.odoo.logins.get(required(row["email"], "e-mail").lower())
            return {"name": required(login, "account")}
        self.each("users", "user", lambda r: r["id"], make)
        self.user_by_email = {r["email"]: self.key["users"][text(r["id"])] for r in self.rows["user"] if text(r["id"]) in self.key["users"]}

    def owner(self, ident, mail=None):
        return first(self.key["users"].get(text(ident)), self.user_by_email.get(mail))

    def teams(self):
        self.each("teams", "pipeline", lambda r: r["id"], lambda r: {"name": required(r["name"], "name")})
        named = {r["pipeline"]: r["pipeline"] for r in self.rows["deal"] if r and r["pipeline"] and not r["pipeline_id"]}
        have = {n.lower() for n in self.key["teams"].values()}
        self.records["teams"] += [{"name": n} for n in named if n.lower() not in have]
        self.key["named teams"] = named

    def stages(self):
        def make(row):
            team = self.key["teams"].get(row["pipeline_id"])
            return {"name": required(row["name"], "name"), "team_ids": {team} if team else set(), "sequence": integer(row["position"]),
                    "is_won": row["type"] in WON, "x_pipz_probability": number(row["probability"])}
        self.each("stages", "stage", lambda r: r["id"], make)
        self.stage = {r["id"]: (r["name"], self.key["teams"].get(r["pipeline_id"]), r["type"]) for r in self.rows["stage"]}
        self.named_stage = {}
        for row in filter(None, self.rows["deal"]):
            if row["stage"] and not row["stage_id"]:
                self.named_stage[row["pipeline"] or "-", row["stage"]] = (row["stage"], row["pipeline"])
        self.records["stages"] += [{"name": n, "team_ids": {t} if t else set(), "is_won": False} for n, t in self.named_stage.values()]

    def tags(self):
        for label, sources in ("contact tags", ("contact", "company")), ("deal tags", ("deal",)):
            names = {t for s in sources for r in self.rows[s] if r for t in items(r["tags"])}
            self.records[label] = [{"name": n} for n in sorted(names)]
        reasons = {r["lost_reason"] for r in self.rows["deal"] if r and r["lost_reason"]}
        self.records["lost reasons"] = [{"name": n} for n in sorted(reasons)]

    def address(self, row):
        country = row["country_code"] if row["country_code"] in self.odoo.countries else None
        state = (country, row["state"]) if (country, row["state"]) in self.odoo.states else None
        return {"city": row["city_name"], "zip": row["postal_code"], "country_id": country, "state_id": state}

    def companies(self):
        def make(row):
            return {"name": required(first(row["name"], row["website"]), "name"), "is_company": True, "website": Host(row["website"] or ""), "email": row["email"],
                    "phone": row["phone"], "street": row["address_1"], "street2": row["address_2"], **self.address(row), "ref": row["remote_id"],
                    "category_id": set(items(row["tags"])), "x_pipz_employees": or_empty(integer, row["number_of_employees"]), "x_pipz_industry": row["industry"],
                    "x_pipz_plan": row["plan"], "x_pipz_monthly_spend": or_empty(number, row["monthly_spend"]), "x_pipz_created": stamp(row["creation_date"]),
                    "x_pipz_cnpj": row["company_custom_cnpj"]}
        self.each("companies", "company", lambda r: r["id"], make)
        # companies of one website are one: the first; what refers to the others leads to it
        first_of, kept, self.called = {}, [], {}
        for ident, record in zip(list(self.key["companies"]), self.records["companies"], strict=True):
            site = record["website"].strip().lower()
            holder = first_of.setdefault(site, record) if site else record
            if holder is record:
                kept.append(record)
            self.key["companies"][ident] = self.called[record["name"]] = holder["name"]
        self.records["companies"] = kept

    def named_companies(self):
        """Companies that contacts only name; one that is known already is taken."""
        names = [record["name"] for record in self.records["companies"]]
        known = collections.Counter(n.lower() for n in names)
        spelled = {n.lower(): n for n in names}
        for row in filter(None, self.rows["contact"]):
            if row["company"] and row["company_id"] is None:
                name = row["company"].strip().lower()
                if name not in self.key["named"]:
                    if known[name] == 1:
                        self.key["named"][name] = spelled[name]
                        continue
                    self.key["named"][name] = row["company"]
                    self.records["named companies"].append({"name": row["company"], "is_company": True})

    def contacts(self):
        def make(row):
            parent = first(self.key["companies"].get(text(row["company_id"])), self.key["named"].get((row["company"] or "").strip().lower()))
            address = self.address(row)
            linked = first(row["company_id"], row["company"]) is not None and first(row["city_name"], row["postal_code"], row["country_code"], row["state"]) is not None
            language = LANGUAGES.get(row["language"])
            return {"name": required(first(row["name"], row["email"]), "name"), "is_company": False, "type": "other" if linked else "contact", "email": row["email"],
                    "phone": first(row["phone"], row["mobile_phone"]), "x_pipz_mobile": row["mobile_phone"], "function": row["job_title"], "website": Host(row["website"] or ""),
                    **address, "parent_id": parent, "user_id": self.owner(row["owner_id"]), "category_id": set(items(row["tags"])), "ref": row["remote_id"],
                    "lang": language if language in self.odoo.languages else None, "tz": row["timezone"],
                    "x_pipz_lifecycle_stage": Choice(row["lifecycle_stage"] or ""), "x_customer_engagement_index": or_empty(number, row["score"]),
                    "x_pipz_birthdate": or_empty(day, row["birthdate"]), "x_pipz_gender": Choice(row["gender"] or ""), "x_pipz_optin": yes(row["optin"]),
                    "x_pipz_nps": or_empty(integer, row["nps_score"]), "x_pipz_emails_sent": or_empty(integer, row["emails_sent"]), "x_pipz_opens": or_empty(integer, row["opens"]),
                    "x_pipz_clicks": or_empty(integer, row["clicks"]), "x_pipz_page_views": or_empty(integer, row["page_views"]),
                    "x_pipz_last_event_at": or_empty(stamp, row["last_event_date"]),
                    "x_pipz_source": " / ".join(filter(None, [row["utm_source"], row["utm_medium"], row["utm_campaign"]])) or None,
                    "x_pipz_created": stamp(row["creation_date"]),
                    "x_pipz_codigo_alumni": row["contact_custom_codigo_alumni"]}
        self.each("contacts", "contact", lambda r: r["id"], make)
        self.by_email = {}
        for row in filter(None, self.rows["contact"]):
            if row["email"] and text(row["id"]) in self.key["contacts"]:
                self.by_email.setdefault(row["email"], self.key["contacts"][text(row["id"])])

    def opt_outs(self):
        """One for every address of a contact that opted out."""
        self.read["opt outs"] = len(self.rows["contact"])
        self.rejected["opt outs"] = self.rows["contact"].count(None)
        out = (r["email"].strip().lower() for r in self.rows["contact"] if r and r["email"] and r["optin"] is not None and not yes(r["optin"]))
        self.records["opt outs"] = [{"name": address} for address in dict.fromkeys(out)]

    def event_kinds(self):
        """What is known has a name here, what is not keeps its own."""
        self.read["event kinds"] = len(self.rows["event"])
        self.rejected["event kinds"] = self.rows["event"].count(None)
        self.kinds = {}
        for row in filter(None, self.rows["event"]):
            if row["type"]:
                kind = row["type"].strip().lower()
                self.kinds.setdefault(kind, KINDS.get(kind, row["type"]))
        self.records["event kinds"] = [{"name": n, "res_model": "res.partner", "internal": True, "default": False} for n in self.kinds.values()]

    def events(self):
        """Oldest first; of one second, and of one key, the first in the file. A thread hangs on its first message with a time."""
        def place(row):
            try:
                return (1, stamp(row["occurred_at"])) if row["occurred_at"] else (0, "")
            except Reject:
                return (1, row["occurred_at"])
        rows = sorted(filter(None, self.rows["event"]), key=place) + [None] * self.rows["event"].count(None)
        first_of = {}
        for row in filter(None, rows):
            with contextlib.suppress(Reject):
                if row["id"] is not None and stamp(row["occurred_at"]) and row["conversation_id"]:
                    first_of.setdefault(thread(row), text(row["id"]))

        def make(row):
            contact = self.key["contacts"].get(text(row["contact_id"])) if row["contact_id"] is not None else self.by_email.get(row["contact_email"])
            agent = first(row["agent_id"], row["agent_email"])
            kind = (row["type"] or "").strip().lower()
            head = first_of.get(thread(row)) if row["conversation_id"] else None
            return {"name": required(contact, "contact"), "date": required(stamp(row["occurred_at"]), "date"), "kind": self.kinds.get(kind, "Note"),
                    "type": "comment" if kind == "chat_message" else "notification", "subject": row["title"],
                    "body": folded(" ".join(filter(None, [row["message"], row["url"]]))),
                    "author": contact if agent is None else self.odoo.partner_of.get(self.owner(row["agent_id"], row["agent_email"])),
                    "email_from": row["agent_email"], "parent": None if head == text(row["id"]) else head, "id": text(row["id"])}
        self.each_of("events", rows, lambda r: r["id"], make)

    def lists(self):
        self.each("lists", "list", lambda r: r["id"], lambda r: {"name": required(r["name"], "name")})

    def list_contacts(self):
        """Contacts with an address who are on a list; a list that is not there rejects them."""
        on = collections.defaultdict(dict)
        for row in filter(None, self.rows["list_member"]):
            if row["contact_id"]:
                said, ident = on[text(row["contact_id"])], text(row["list_id"])
                said[ident] = said.get(ident, False) or row.get("unsubscribed_at") is not None

        def make(row):
            out = row["optin"] is not None and not yes(row["optin"])
            lists = [(required(self.key["lists"].get(i), "list"), out or gone) for i, gone in on[text(row["id"])].items()]
            return {"name": row["email"], "person": row["name"], "company_name": row["company"], "subscription_ids": Many(lists)}
        rows = [r for r in self.rows["contact"] if r is None or r["id"] is not None and r["email"] and on.get(text(r["id"]))]
        self.each_of("list contacts", rows, lambda r: r["id"], make)

    def campaigns(self):
        def make(row):
            sent, opens, clicks = (number(row[f]) for f in ("sent", "opens", "clicks"))
            lists = (self.key["lists"].get(text(i)) for i in items(row["list_ids"]))
            body = re.sub(r"<script.*?</script>", " ", row["html"] or "", flags=re.S)
            return {"name": required(row["name"], "name"), "x_subject": row["subject"], "x_sent_at": stamp(row["sent_at"]), "x_status": Choice(row["status"] or ""), "x_body": Text(plain(body)),
                    "x_list_ids": {n for n in lists if n}, "x_sent": integer(row["sent"]), "x_opens": integer(row["opens"]), "x_clicks": integer(row["clicks"]),
                    "x_unsubscribes": integer(row["unsubscribes"]), "x_open_rate": 100 * opens / sent if sent else None, "x_click_rate": 100 * clicks / sent if sent else None}
        self.each("campaigns", "campaign", lambda r: r["id"], make)

    def deals(self):
        self.each("deals", "deal", lambda r: r["id"], self.deal)

    def deal(self, row):
        status = (row["status"] or "").strip().lower()
        outcome = "won" if status in WON else "lost" if status in LOST else None
        contact = first(self.key["contacts"].get(text(row["contact_id"])), self.by_email.get(row["contact_email"]),
                        self.key["companies"].get(text(row["company_id"])), self.company_called(row["company_name"]))
        team = first(self.key["teams"].get(text(row["pipeline_id"])), self.key["named teams"].get(row["pipeline"]))
        return {"name": required(row["name"], "name"), "type": "opportunity", "expected_revenue": number(row["value"]), "partner_id": contact, "team_id": team,
                "stage_id": self.deal_stage(row, outcome), "probability": 100 if outcome == "won" else 0 if outcome == "lost" else number(row["probability"]),
                "active": outcome != "lost", "lost_reason_id": row["lost_reason"], "won_status": outcome or "pending", "user_id": self.owner(row["owner_id"], row["owner"]),
                "date_deadline": day(row["expected_close_date"]), "date_closed": stamp(row["close_date"]), "tag_ids": set(items(row["tags"])),
                "description": Text(row["description"] or ""), "x_pipz_deal_id": text(row["id"]), "x_pipz_pipeline": text(first(row["pipeline"], row["pipeline_id"])), "x_pipz_stage": text(first(row["stage"], row["stage_id"])), "x_pipz_status": row["status"],
                "x_pipz_created": stamp(row["creation_date"]), "x_pipz_contract": row["contract_no"]}

    def deal_stage(self, row, outcome):
        """A won deal stands in a won stage, any other in none: its own, else Odoo's Won or New."""
        name, team, kind = self.stage.get(text(row["stage_id"]), (None, None, None))
        if name and (kind in WON) == (outcome == "won"):
            return (name, frozenset([team] if team else []))
        if outcome == "won":
            return ("Won", frozenset())
        name, team = self.named_stage.get((row["pipeline"] or "-", row["stage"]), ("New", None))
        return (name, frozenset([team] if team else []))

    def company_called(self, name):
        return self.called.get(name)


# ---- what is in Odoo ---------------------------------------------------------------------------------------------------
class Odoo:
    """The JSON-2 API, and what references are called."""

    def __init__(self, url, database, key):
        self.url, self.headers = url.rstrip("/"), {"Authorization": "bearer " + key, "Content-Type": "application/json", "X-Odoo-Database": database}
        self.countries = {r["code"]: r["id"] for r in self.all("res.country", ["code"])}
        code = {v: k for k, v in self.countries.items()}
        self.states = {(code[r["country_id"][0]], r["code"]): r["id"] for r in self.all("res.country.state", ["code", "country_id"])}
        self.languages = {r["code"] for r in self.all("res.lang", ["code"], [["active", "=", True]])}
        users = self.all("res.users", ["login", "email", "partner_id", "active", "create_date"])
        self.users = users
        self.logins = {w.lower(): u["login"] for u in users for w in (u["email"], u["login"]) if w}
        self.internal = {u["partner_id"][0] for u in users}
        self.partner_of = {u["login"]: u["partner_id"][1] for u in users}
        names = collections.defaultdict(dict)
        self.named_at = collections.defaultdict(dict)     # when records got a name of ours, by model and id
        looked_at = sorted({"mail.message", *(shape[2] for shape in SHAPES)})
        for row in self.all("ir.model.data", ["module", "model", "res_id", "create_date"], [["model", "in", looked_at]]):
            names[row["model"]].setdefault(row["res_id"], set()).add(row["module"])
            if row["module"].startswith("crmferry_"):
                self.named_at[row["model"]].setdefault(row["res_id"], row["create_date"])
        self.modules = names
        teams = self.called("crm.team")
        self.called_by = {
            "country_id": {v: k for k, v in self.countries.items()}, "state_id": {v: k for k, v in self.states.items()},
            "parent_id": self.called("res.partner"), "category_id": self.called("res.partner.category"), "user_id": {u["id"]: u["login"] for u in users},
            "team_id": teams, "team_ids": teams, "tag_ids": self.called("crm.tag"), "lost_reason_id": self.called("crm.lost.reason"),
            "stage_id": {s["id"]: (s["name"], frozenset(teams[t] for t in s["team_ids"])) for s in self.all("crm.stage", ["name", "team_ids"])},
        }
        self.called_by["partner_id"] = self.called_by["parent_id"]
        self.called_by["x_list_ids"] = self.called("mailing.list")
        subscriptions = self.all("mailing.subscription", ["list_id", "opt_out"])
        self.called_by["subscription_ids"] = {s["id"]: (self.called_by["x_list_ids"][s["list_id"][0]], s["opt_out"]) for s in subscriptions}

    def call(self, model, method, **arguments):
        request = urllib.request.Request(f"{self.url}/json/2/{model}/{method}", json.dumps(arguments).encode(), self.headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{model}.{method}: {error.code}: {error.read()[:600].decode(errors='replace')}") from error

    def all(self, model, fields, domain=()):
        found, last = [], 0
        while True:
            page = self.call(model, "search_read", domain=[["id", ">", last], *domain], fields=fields, limit=5000, order="id",
                             context={"active_test": False, "lang": "en_US"})
            if not page:
                return found
            found += page
            last = page[-1]["id"]

    def called(self, model):
        return {r["id"]: r["name"] for r in self.all(model, ["name"])}

    def own(self, model, ident):
        """Whether the record came with Odoo itself: a module made it."""
        return any(not m.startswith(("crmferry_", "__")) for m in self.modules[model].get(ident, ()))

    def ferried(self, model, ident):
        return any(m.startswith("crmferry_") for m in self.modules[model].get(ident, ()))


# ---- the comparison ----------------------------------------------------------------------------------------------------
SHAPES = [  # label of the table, objects, model, further domain, field that names a record
    ("users", ("users",), "res.users", [], "login"),
    ("teams", ("teams",), "crm.team", [], "name"),
    ("stages", ("stages",), "crm.stage", [], "name"),
    ("contact tags", ("contact tags",), "res.partner.category", [], "name"),
    ("deal tags", ("deal tags",), "crm.tag", [], "name"),
    ("lost reasons", ("lost reasons",), "crm.lost.reason", [], "name"),
    ("companies", ("companies", "named companies"), "res.partner", [["is_company", "=", True]], "name"),
    ("contacts", ("contacts",), "res.partner", [["is_company", "=", False]], "name"),
    ("deals", ("deals",), "crm.lead", [], "name"),
    ("opt outs", ("opt outs",), "mail.blacklist", [], "email"),
    ("event kinds", ("event kinds",), "mail.message.subtype", [["res_model", "=", "res.partner"]], "name"),
    ("lists", ("lists",), "mailing.list", [], "name"),
    ("list contacts", ("list contacts",), "mailing.contact", [], "email"),
    ("campaigns", ("campaigns",), "x_pipz_campaign", [], "x_name"),
]

COLUMN = {"person": "name"}                                        # where another field names the record


def same(wanted, found, names, options):
    if isinstance(wanted, Many):
        return sorted(wanted) == sorted(names[i] for i in found or [])
    if isinstance(wanted, set):
        return wanted == {names[i] for i in found or []}
    if isinstance(found, list):                                   # many2one: [id, name]
        found = found[0]
    if names is not None:
        return wanted == (names[found] if found else None)
    if isinstance(wanted, Text):
        return folded(wanted) == folded(plain(found or ""))
    if isinstance(wanted, Host):
        return host(wanted) == host(found or "")
    if isinstance(wanted, Choice):
        return wanted in (found or "", options.get(found, ""))
    if isinstance(wanted, bool) or isinstance(found, bool) and found:
        return wanted == found
    if isinstance(wanted, (int, float)):
        return found is not False and math.isclose(wanted, found, abs_tol=0.005)
    if wanted is None:
        return found in (False, None, "", 0)
    return wanted == found


def plain(markup):
    return html.unescape(re.sub(r"<[^>]*>", " ", markup))


def folded(words):
    return " ".join(words.split())


def host(address):
    return re.sub(r"^(https?://)?(www\.)?", "", address.strip().lower()).split("/")[0]


def compare(shape, expected, odoo):
    label, objects, model, domain, naming = shape
    if label == "campaigns" and not expected.rows["campaign"]:
        return [label, *[0] * 10], []                             # who has none needs no model for them
    records = [r for o in objects for r in expected.records[o]]
    fields = sorted({f for r in records for f in r if f != "name"})
    described = odoo.call(model, "fields_get", allfields=[COLUMN.get(f, f) for f in fields], attributes=["type", "selection"]) if fields else {}
    described.update({f: described[c] for f, c in COLUMN.items() if c in described})
    problems = [f"{label}: the field {f} of {model} is not there" for f in fields if f not in described]
    fields = [f for f in fields if f in described]
    options = {f: dict(described[f].get("selection") or []) for f in fields}

    def identity(name, team):
        return (name, frozenset(team)) if label == "stages" else name
    found, orphans = collections.defaultdict(list), 0
    wanted = collections.Counter(identity(r["name"], r.get("team_ids", ())) for r in records)
    for row in odoo.all(model, sorted({naming, *(COLUMN.get(f, f) for f in fields)}), domain):
        name = identity(row[naming], {odoo.called_by["team_ids"][t] for t in row.get("team_ids", ())})
        if odoo.own(model, row["id"]) and not odoo.ferried(model, row["id"]) or model == "res.partner" and row["id"] in odoo.internal:
            continue
        if label == "users" and not odoo.ferried(model, row["id"]):
            continue                                              # accounts that people made, and nobody in the export has
        if not odoo.ferried(model, row["id"]):
            orphans += 1
            problems.append(f"{label}: orphan {row['id']}, {name!r}: no external id of ours")
        found[name].append(row)
    missing = twice = extra = differing = compared = 0
    for name in {**wanted, **found}:
        have, want = len(found.get(name, ())), wanted.get(name, 0)
        if have < want:
            missing += want - have
            problems.append(f"{label}: lost {name!r}: {want} expected, {have} there")
        elif have > want:
            twice, extra = (twice + have - want, extra) if want else (twice, extra + have)
            problems.append(f"{label}: {name!r} is there {have} times, {want} expected")
    for record in records:
        name = identity(record["name"], record.get("team_ids", ()))
        rows = found.get(name) or []
        wrong = min(([f for f in fields if f in record and not same(record[f], row[COLUMN.get(f, f)], odoo.called_by.get(f), options[f])] for row in rows), key=len, default=[])
        compared += len([f for f in fields if f in record]) if rows else 0
        differing += len(wrong)
        for field in wrong:
            problems.append(f"{label}: {name!r}: {field} should be {record[field]!r}, is {rows[0][COLUMN.get(field, field)]!r}")
    counts = [sum(expected.read[o] for o in objects) or "", sum(expected.rejected[o] for o in objects), len(records),
              sum(map(len, found.values())), missing, twice, extra, orphans, compared, differing]
    return [label, *counts], problems


def history(expected, odoo):
    """Every message by contact and place: time, kind, author, what it says, what it hangs on. The order is that of ids, for the chatter shows them so."""
    partners, kinds = odoo.called_by["parent_id"], odoo.called("mail.message.subtype")
    rows = odoo.all("mail.message", ["res_id", "date", "subtype_id", "message_type", "subject", "body", "author_id", "email_from", "parent_id", "is_internal", "create_uid"], [["model", "=", "res.partner"]])
    ferried = {r["id"]: r for r in rows if odoo.ferried("mail.message", r["id"])}
    uid = {r["create_uid"][0] for r in ferried.values()}
    orphans = [r for r in rows if r["id"] not in ferried and r["create_uid"][0] in uid]
    problems = [f"events: orphan {r['id']}: no external id of ours" for r in orphans]
    wanted, found = collections.defaultdict(list), collections.defaultdict(list)
    said = {r["id"]: r for r in expected.records["events"]}
    for record in expected.records["events"]:
        head = said.get(record["parent"])
        wanted[record["name"]].append({**record, "parent": head and (head["date"], head["body"]), "internal": True})
    for row in ferried.values():
        head = row["parent_id"] and ferried.get(row["parent_id"][0])
        found[partners[row["res_id"]]].append({
            "date": row["date"], "kind": row["subtype_id"] and kinds[row["subtype_id"][0]], "type": row["message_type"], "subject": row["subject"] or None, "body": folded(plain(row["body"] or "")),
            "author": partners[row["author_id"][0]] if row["author_id"] else None, "email_from": row["email_from"] or None,
            "parent": (head["date"], folded(plain(head["body"] or ""))) if head else None, "internal": row["is_internal"]})
    missing = extra = differing = compared = 0
    for name in {**wanted, **found}:
        want, have = wanted.get(name, []), found.get(name, [])
        missing, extra = missing + max(0, len(want) - len(have)), extra + max(0, len(have) - len(want))
        if len(want) != len(have):
            problems.append(f"events: {name!r} has {len(have)} messages, {len(want)} expected")
        for place, (one, other) in enumerate(zip(want, have)):
            wrong = [f for f in other if other[f] != one[f]]
            compared, differing = compared + len(other), differing + len(wrong)
            problems += [f"events: {name!r}, message {place + 1}: {f} should be {one[f]!r}, is {other[f]!r}" for f in wrong]
    counts = [expected.read["events"], expected.rejected["events"], len(expected.records["events"]), len(ferried), missing, 0, extra, len(orphans), compared, differing]
    return ["events", *counts], problems


def quiet(odoo):
    """Nothing was sent to anyone, and nobody follows a contact unasked."""
    for model, domain in ("mail.mail", []), ("mail.notification", []), ("mail.followers", [["res_model", "=", "res.partner"]]):
        count = odoo.call(model, "search_count", domain=domain)
        if count:
            yield f"{model} has {count} records"


def rights(expected, odoo):
    """Campaigns can be read by everybody who works here, and changed by those who write to people; there is a menu."""
    if not expected.rows["campaign"]:
        return
    rules = odoo.all("ir.model.access", ["group_id", "perm_read", "perm_write", "perm_create", "perm_unlink"], [["model_id.model", "=", "x_pipz_campaign"]])
    groups = {r["res_id"]: f"{r['module']}.{r['name']}" for r in odoo.all("ir.model.data", ["module", "name", "res_id"], [["model", "=", "res.groups"]])}
    have = {groups.get(r["group_id"] and r["group_id"][0]): tuple(r[f"perm_{p}"] for p in ("read", "write", "create", "unlink")) for r in rules}
    for group, wanted in ("base.group_user", (True, False, False, False)), ("mass_mailing.group_mass_mailing_user", (True,) * 4):
        if have.get(group) != wanted:
            yield f"campaigns: the rights of {group} should be {wanted}, are {have.get(group)}"
    if not odoo.call("ir.ui.menu", "search_count", domain=[["name", "=", "Pipz campaign"], ["parent_id", "!=", False], ["action", "!=", False]]):
        yield "campaigns: there is no menu"


# ---- the rows that are no list of records ------------------------------------------------------------------------------
FIELDS = {  # every custom field, of the type that fits its values
    "res.partner": {"char": "mobile cnpj codigo_alumni industry plan source", "integer": "employees nps emails_sent opens clicks page_views", "float": "monthly_spend", "date": "birthdate",
                    "datetime": "created last_event_at", "selection": "gender lifecycle_stage", "boolean": "optin"},
    "crm.lead": {"char": "contract deal_id pipeline stage status", "datetime": "created"},
    "crm.stage": {"float": "probability"},
}
CAMPAIGN = {"char": "name subject", "datetime": "sent_at", "selection": "status", "html": "body", "many2many": "list_ids", "integer": "sent opens clicks unsubscribes", "float": "open_rate click_rate"}
INDEX = "x_customer_engagement_index"


def typed(campaigns=True):
    """Model and field to the type of every custom field."""
    found = {(model, "x_pipz_" + n): ttype for model, types in FIELDS.items() for ttype, names in types.items() for n in names.split()}
    found["res.partner", INDEX] = "float"
    if campaigns:
        found.update({("x_pipz_campaign", "x_" + n): ttype for ttype, names in CAMPAIGN.items() for n in names.split()})
    return found


def custom_fields(odoo, campaigns=True):
    """Each is there as people would make it, with its type and a name to be read, and no other is. The count, and what is wrong."""
    rows = odoo.all("ir.model.fields", ["model", "name", "ttype", "state", "field_description"], [["name", "=like", "x\\_%"]])
    wanted = typed(campaigns)
    models = {model for model, _ in wanted}                       # users have those of contacts, too; other models are a further mapping's
    have = {(r["model"], r["name"]): r for r in rows if r["model"] in models}
    problems = [f"custom fields: the field {f} of {m} is not there" for m, f in wanted if (m, f) not in have]
    problems += [f"custom fields: nobody asked for {f} of {m}" for m, f in have if (m, f) not in wanted]
    for key in sorted({*wanted} & {*have}):
        row = have[key]
        if (row["ttype"], row["state"]) != (wanted[key], "manual"):
            problems.append(f"custom fields: {key[1]} of {key[0]} should be a manual {wanted[key]}, is a {row['state']} {row['ttype']}")
        if row["field_description"] in ("", False, key[1]):
            problems.append(f"custom fields: {key[1]} of {key[0]} has no label")
    return len(have), problems


def accounts(expected, odoo):
    """Who left Pipz is there, archived where he was not before; nobody else is made. Made is whom his name of ours is as old as."""
    gone = {r["email"].lower() for r in expected.rows["user"] if r["email"] and r["active"] is not None and not yes(r["active"])}
    here = {r["email"].lower() for r in expected.rows["user"] if r["email"]} - gone
    named, problems, there = odoo.named_at["res.users"], [], set()
    begun = min((at for names in odoo.named_at.values() for at in names.values()), default="")
    for user in odoo.users:
        login = user["login"].lower()
        there |= {login, (user["email"] or "").lower()}
        if odoo.own("res.users", user["id"]) and not odoo.ferried("res.users", user["id"]):
            continue
        made = named.get(user["id"]) == user["create_date"]
        if made and login not in gone:
            problems.append(f"users: {login!r} was made, which is for people to do" if login in here else f"users: {login!r} is nobody of the export")
        elif made and user["active"]:
            problems.append(f"users: {login!r} should be archived")
        elif user["id"] not in named and user["create_date"] >= begun:
            problems.append(f"users: {login!r} was made on the way, and is nobody of ours")
    problems += [f"users: {mail!r} should be there, archived" for mail in sorted(gone - there)]
    return problems


def stage_order(expected, odoo):
    """The stages of a pipeline stand in Odoo's own order as in Pipz."""
    problems = []
    for row in filter(None, expected.rows["pipeline"]):
        mine = sorted((s for s in expected.rows["stage"] if s["pipeline_id"] == row["id"]), key=lambda s: integer(s["position"]))
        domain = [["team_ids.name", "=", row["name"]], ["name", "in", [s["name"] for s in mine]]]
        found = [s["name"] for s in odoo.call("crm.stage", "search_read", domain=domain, fields=["name"], context={"lang": "en_US"})]
        if row["name"] and found != [s["name"] for s in mine]:
            problems.append(f"stages: those of {row['name']!r} should be {[s['name'] for s in mine]}, are {found}")
    return problems


def index(expected, odoo):
    """The number of every contact. How many there are, and what is wrong."""
    wanted = collections.Counter((r["name"], float(r[INDEX] or 0)) for r in expected.records["contacts"])
    if INDEX not in odoo.call("res.partner", "fields_get", allfields=[INDEX], attributes=["type"]):
        return 0, ["engagement index: the field is not there"]
    rows = [r for r in odoo.all("res.partner", ["name", INDEX], [["is_company", "=", False]]) if odoo.ferried("res.partner", r["id"])]
    found = collections.Counter((r["name"], r[INDEX]) for r in rows)
    problems = [f"engagement index: {name!r} should have {value}" for name, value in (wanted - found)]
    problems += [f"engagement index: {name!r} has {value}, which nobody said" for name, value in (found - wanted)]
    return sum(value != 0 for _, value in found.elements()), problems


# ---- what is handed over in writing ------------------------------------------------------------------------------------
ADVICE = {"contact_created": "Automation rule on res.partner, trigger: on creation", "tag_added": "Automation rule on res.partner, trigger: tag is added", "deal_stage_changed": "Automation rule on crm.lead, trigger: stage is set to",
          "date": "Automation rule, trigger: based on date field", "form_submitted": "Website form to crm.lead, then an automation rule on creation"}
SEGMENT = ["name", "members", "definition", "odooDomain", "notExpressible", "advice"]
GROUPS = {"and": "all of", "or": "any of", "not": "none of"}


class Unclear(Exception):
    """A rule that says nothing about a row, as far as anybody here can tell."""


def document(folder, name):
    """Columns and rows of a document; an apostrophe keeps spreadsheets from taking a text for a formula."""
    path = os.path.join(folder, "handover", f"{name}.csv")
    if not os.path.exists(path):
        return [], []
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file)) or [[]]
    return head, [dict(zip(head, [re.sub(r"^'(?=[=+\-@\t\r])", "", cell) for cell in row])) for row in rows]


def held_against(label, document_of, columns, wanted, folder):
    """A document row by row: each there once, with all that it is to say, and none besides. Rows by key, and what is wrong."""
    head, rows = document(folder, document_of)
    problems = [] if head == ["key", *columns] or not head and not wanted else [f"{label}: the columns should be {['key', *columns]}, are {head}"]
    have = {r["key"]: r for r in rows if "key" in r}
    problems += [f"{label}: there are {len(rows)} rows, {len(wanted)} expected"] if len(rows) != len(wanted) else []
    for ident, row in wanted.items():
        if ident not in have:
            problems.append(f"{label}: lost {ident!r}")
        else:
            problems += [f"{label}: {ident!r}: {column} should be {said!r}, is {have[ident].get(column)!r}" for column, said in row.items() if have[ident].get(column) != said]
    return have, problems + [f"{label}: {ident!r} is nothing of the export" for ident in have if ident not in wanted]


def by_key(rows, *key):
    """The first row of each key; those without one are rejected."""
    found = {}
    for row in filter(None, rows):
        if all(row[k] is not None for k in key):
            found.setdefault("__".join(text(row[k]) for k in key), row)
    return found


def shown(value):
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def outline(node, depth=0):
    """A rule as it is written down, line by line."""
    if isinstance(node, list):
        node = {"operator": "and", "rules": node}
    if "field" in node:
        return ["  " * depth + " ".join(filter(None, [node["field"], node["comparator"], shown(node["value"])]))]
    return ["  " * depth + GROUPS[node["operator"]], *(line for part in node["rules"] for line in outline(part, depth + 1))]


def is_plain(node):
    """A tree of groups and conditions; not a group of none, or an operator that somebody wrote as a formula."""
    return "field" in node or node.get("operator") in GROUPS and bool(node["rules"]) and all(map(is_plain, node["rules"]))


def scalars(node):
    return [s for part in (node.values() if isinstance(node, dict) else node) for s in scalars(part)] if isinstance(node, (dict, list)) else [] if node is None else [shown(node)]


def holds(node, row):
    """Whether a rule is true of a contact's row."""
    if "field" not in node:
        parts = [holds(part, row) for part in node["rules"]]
        return all(parts) if node["operator"] == "and" else any(parts) != (node["operator"] == "not")
    if node["field"] not in row:
        raise Unclear(node["field"])
    have, want, word = row[node["field"]], node["value"], node["comparator"]
    plain_one = isinstance(have, str) and isinstance(want, str)
    if word == "equals":
        return yes(have) == want if isinstance(want, bool) else have == want
    if word == "in":
        return have in want
    if word == "is_not_empty":
        return have is not None
    if word == "greater_than":
        return number(have) is not None and number(have) > want
    if word == "on_or_after":
        return have is not None and moment(have) >= moment(want)
    if word == "contains" and isinstance(have, (list, type(None))) and node["field"] == "tags":
        return want in items(have)
    for name, test in ("contains", str.__contains__), ("starts_with", str.startswith), ("ends_with", str.endswith):
        if word == name:
            return plain_one and test(have.lower(), want.lower())
    raise Unclear(word)


def lost_in_odoo(node, odoo):
    """A condition that Odoo cannot tell from another: two languages became one, or none where Odoo has not installed it."""
    if "field" not in node:
        return any(lost_in_odoo(part, odoo) for part in node["rules"])
    asked = node["value"] if isinstance(node["value"], list) else [node["value"]]
    into = {LANGUAGES.get(w) for w in asked}
    return node["field"] == "language" and (not into <= odoo.languages or any(LANGUAGES[w] in into and w not in asked for w in LANGUAGES))


def segments(expected, odoo, folder):
    """The whole rule of each, and a filter that finds those, and only those, of whom it is true. How many filters, rows, problems."""
    rules = by_key(expected.rows["segment"], "id")
    wanted = {ident: {"name": row["name"] or "", "members": shown(row["count"])} for ident, row in rules.items()}
    for ident, row in rules.items():
        if row["rules"] is None or is_plain(row["rules"]):
            wanted[ident]["definition"] = "\n".join(outline(row["rules"])) if row["rules"] else ""
    have, problems = held_against("segments", "smart-segments", SEGMENT, wanted, folder)
    ours = list(odoo.named_at["res.partner"])
    for ident, row in rules.items():
        said = have.get(ident)
        if not said:
            continue
        missing = [s for s in scalars(row["rules"] or []) if "definition" not in wanted[ident] and s not in said["definition"]]      # in words of its own
        if missing:
            problems.append(f"segments: {ident!r}: the definition does not say {missing}")
        try:
            if not row["rules"] or not is_plain(row["rules"]) or lost_in_odoo(row["rules"], odoo):
                raise Unclear(ident)
            members = sorted(record["name"] for record, contact in zip(expected.records["contacts"], expected.taken["contacts"], strict=True) if holds(row["rules"], contact))
        except Unclear:
            members = None
        filtered = bool(said["odooDomain"])
        if filtered != (members is not None):
            problems.append(f"segments: {ident!r}: a filter should {'' if members is not None else 'not '}be there, is {said['odooDomain']!r}, for {said['notExpressible']!r}")
        elif filtered:
            found = odoo.call("res.partner", "search_read", domain=[*ast.literal_eval(said["odooDomain"]), ["id", "in", ours]], fields=["name"], context={"lang": "en_US"})
            if sorted(r["name"] for r in found) != members:
                problems.append(f"segments: {ident!r}: the filter finds {len(found)}, the rule is true of {len(members)}, or they are others")
        if filtered and said["notExpressible"] or row["rules"] and not filtered and not said["notExpressible"]:
            problems.append(f"segments: {ident!r}: what cannot be said should {'not ' if filtered else ''}be named, is {said['notExpressible']!r}")
        if not said["advice"].startswith("Contacts, Filters" if filtered else "Tag the members"):
            problems.append(f"segments: {ident!r}: the advice is {said['advice']!r}")
    return len(have), problems


def automations(expected):
    """Trigger, conditions, actions, and what to build instead."""
    def called(step):
        return ": ".join(filter(None, [(step or {}).get("type"), (step or {}).get("name")]))
    wanted = {}
    for ident, row in by_key(expected.rows["automation"], "id").items():
        kind = (row["trigger"] or {}).get("type")
        wanted[ident] = {"name": row["name"] or "", "status": row["status"] or "", "trigger": called(row["trigger"]), "conditions": "\n".join(outline(row["conditions"])) if row["conditions"] else "",
                         "actions": "\n".join(map(called, row["actions"] or [])),
                         "advice": ADVICE.get(kind, "Server action (ir.actions.server) started by an automation rule; e-mails through a mail.template") if kind else "Find out what starts it, then an automation rule"}
    return wanted


def triggers(expected):
    """What happened when a deal entered a stage."""
    return {i: {"stage": r["name"], "pipeline": r["pipeline_id"], "triggers": r["triggers"], "advice": "Automation rule (base.automation) on crm.lead, trigger: stage is set to"}
            for i, r in by_key(expected.rows["stage"], "id").items() if r["triggers"]}


def left_out(expected):
    """Members of lists who are no contact with an address."""
    reachable = {text(r["id"]) for r in expected.rows["contact"] if r and r["email"]}
    rows = [r for r in expected.rows["list_member"] if r and text(r["contact_id"]) not in reachable]
    return {i: {"list": text(r["list_id"]), "contact": text(r["contact_id"]) or "", "unsubscribed": r.get("unsubscribed_at") or ""} for i, r in by_key(rows, "list_id", "contact_id").items()}


DOCUMENTS = [  # label, document, its columns, what it is to say
    ("automations", "automations", ["name", "status", "trigger", "conditions", "actions", "advice"], automations),
    ("stage triggers", "stage-triggers", ["stage", "pipeline", "triggers", "advice"], triggers),
    ("members left out", "list-members-left-out", ["list", "contact", "unsubscribed"], left_out),
]


# ---- the twelve rows ---------------------------------------------------------------------------------------------------
ROWS = [  # as the paper calls them; the lines of the table that they are counted by; what else is theirs
    ("Contact", ["contacts"], []), ("Company", ["companies"], []), ("Deal", ["deals"], ["lost reasons"]), ("Pipeline stage", ["teams", "stages"], ["stage triggers"]),
    ("Activity", ["events"], ["event kinds", "quiet"]), ("E-mail campaign", ["campaigns"], ["lists", "list contacts", "opt outs", "members left out"]), ("Tag", ["contact tags", "deal tags"], []),
    ("Smart segment", ["segments"], []), ("Custom field", ["custom fields"], []), ("User", ["users"], []), ("Automation", ["automations"], []), ("Customer engagement index", ["engagement index"], []),
]
WRITTEN = {"Smart segment", "Automation"}


def told(counts, problems, written):
    """A line for each row: whether it arrived, and how many records it is."""
    for row, counted, further in ROWS:
        bad = any(label in problems for label in [*counted, *further])
        verdict = "FAIL" if bad else "ok" if written or row not in WRITTEN else "not looked at, without --results"
        yield f"{row:26} {verdict:4} {sum(counts.get(label, 0) for label in counted):6}"


def write_dates(odoo):
    dates = {}
    for model in sorted({*(s[2] for s in SHAPES), "mail.message"}):
        rows = odoo.all(model, ["write_date"])
        dates[model] = {str(r["id"]): r["write_date"] for r in rows if odoo.ferried(model, r["id"])}
    return dates


def moved(before, after):
    for model in sorted({*before, *after}):
        old, new = before.get(model, {}), after.get(model, {})
        for ident in sorted({*old, *new}, key=int):
            if old.get(ident) != new.get(ident):
                yield f"{model} {ident}: write_date was {old.get(ident)}, is {new.get(ident)}"


def main():
    cli = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cli.add_argument("exports")
    for name in "url", "db", "key":
        cli.add_argument("--" + name, required=True)
    cli.add_argument("--results", metavar="DIR", help="documents and results, for what is handed over in writing")
    cli.add_argument("--write-dates", metavar="FILE", help="keeps the write_date of every migrated record")
    cli.add_argument("--same-dates", metavar="FILE", help="and this says which of them moved since")
    given = cli.parse_args()
    odoo = Odoo(given.url, given.db, given.key)
    expected = Expected(given.exports, odoo)
    table, problems, counts = [], collections.defaultdict(list), {}
    for line, found in (*(compare(shape, expected, odoo) for shape in SHAPES), history(expected, odoo)):
        table.append(line)
        counts[line[0]] = line[4]
        problems[line[0]] += found
    for label, found in ("quiet", quiet(odoo)), ("campaigns", rights(expected, odoo)), ("users", accounts(expected, odoo)), ("stages", stage_order(expected, odoo)):
        problems[label] += found
    further = {"custom fields": custom_fields(odoo, bool(expected.rows["campaign"])), "engagement index": index(expected, odoo)}
    if given.results:
        further["segments"] = segments(expected, odoo, given.results)
        for label, name, columns, make in DOCUMENTS:
            have, found = held_against(label, name, columns, make(expected), given.results)
            further[label] = len(have), found
    for label, (count, found) in further.items():
        counts[label] = count
        problems[label] += found
    problems = {label: found for label, found in problems.items() if found}
    if given.write_dates:
        with open(given.write_dates, "w", encoding="utf-8") as file:
            json.dump(write_dates(odoo), file)
    if given.same_dates:
        with open(given.same_dates, encoding="utf-8") as file:
            again = list(moved(json.load(file), write_dates(odoo)))
            problems.update({"dates": again} if again else {})
    heads = ["object", "rows", "rejected", "expected", "in Odoo", "lost", "twice", "extra", "orphans", "compared", "differing"]
    widths = [max(len(str(line[i])) for line in [heads, *table]) for i in range(len(heads))]
    for line in [heads, *table]:
        print("  ".join(str(v).ljust(w) if i == 0 else str(v).rjust(w) for i, (v, w) in enumerate(zip(line, widths))))
    print("\n".join(["", *told(counts, problems, given.results), ""]))
    flat = [one for found in problems.values() for one in found]
    for one in flat[:20]:
        print("-", one)
    print(f"{len(flat)} differences" if flat else "no difference")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
