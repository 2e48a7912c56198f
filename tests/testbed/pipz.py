#!/usr/bin/env python3
"""A Pipz to test against: its API as far as anything is known of it, over real HTTP, with every doubt as a switch.

    pipz.py --contacts 5000 --companies 300 --seed 7 [--port 0] [--fieldsets dict] [--rows summary] [--company 404] ...
    pipz.py --contacts 5000 --companies 300 --seed 7 --export DIR --only-export
    pipz.py --from DIR --list yes ...

The first line it prints is its address. The same arguments give the same account: records are functions of seed and number, so
any size costs nothing; or, with --from, the rows of an export of scale.py, of those objects that the switches offer. Strict on keys and page caps, lenient on trailing slashes; every record has unknown fields and nulls.
Standard library only.

At run time (no keys needed, nothing here is Pipz's):
    POST /_control {"options": {"rows": "summary"}, "change": {"contact": {"4001": {"name": "X"}}}, "delete": {"contact": [4002]},
                    "insert": {"contact": 3}, "faults": [{"do": "429", "after": 5, "times": 2, "retryAfter": 1}], "clear": true, "export": "DIR", "keep": {"contact": [4002]}}
    `export` writes the account as it is now, and of what was deleted what is named to `keep`; beside it, with --from, the files of the other objects.
    GET /_log      what was asked, in order: when, path, parameters and headers without the keys, how it was let in, what it got

A fault holds for `times` requests (1) among those that match `object`, `detail`, `offset` (or beyond) and `listId`, after `after` (0) of them:
    429 [retryAfter]   status [status]   drop: half of the body   html   redirect [to]   slow [seconds]
    repeat: the page before   shrink [rows]: fewer rows than asked for
    change [id, set], delete [id], insert: the account changes as soon as the page is sent
"""

import argparse
import base64
import copy
import functools
import hmac
import json
import os
import random
import re
import shutil
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from scale import CITIES, COMPANY_TAGS, CONTACT_TAGS, DEAL_TAGS, FIRST, JOBS, LAST, LOST, NOTES, PIPELINES, STAGES, STREETS, TRADE, USERS, WORDS, ascii_word
from verify import read_rows

FIRST_ID = {"contact": 4000, "company": 1, "deal": 70000, "list": 140, "user": 1}
NEVER_COPIED = ("password", "cookie_id", "reader")
CUSTOM = [  # name, label, place where the account keeps it in the mixed mode
    ("contact_custom_codigo_alumni", "Código Alumni", "fieldsets"),
    ("contact_custom_data_nascimento", "Data de nascimento", "fieldsets"),
    ("contact_custom_observacoes", "Observações", "root"),
    ("contact_custom_segmento", "Segmento", "custom_fields"),
    ("contact_custom_pontos", "Pontos", "custom_attributes"),
    ("contact_custom_aceita_termos", "Aceita os termos?", "label"),
]
STANDARD = [("contact_name", "Nome", "Details"), ("contact_email", "E-mail", "Details"), ("contact_job_title", "Cargo", "Details"), ("contact_twitter", "Twitter", "Social")]
SUMMARY = ("id", "uuid", "name", "email", "company_id", "update_date")
OPTIONS = {  # switch: its values, the first is what is most probable
    "auth": ("either", "query", "basic"),
    "fieldsets": ("list", "dict"),
    # summary: rows without fieldsets, the rest is in the detail; fieldsets: with them; late: those behind the fifth have no phone;
    # cut: names are cut short; own: custom values are in rows alone, and the phone in the detail
    "rows": ("full", "summary", "fieldsets", "late", "cut", "own"),
    "custom": ("fieldsets", "root", "custom_fields", "custom_attributes", "label", "mixed", "none"),
    "meta": ("present", "absent", "lying", "boasting", "hiding"),     # hiding: the last two contacts are counted and not given
    "order": ("id", "updated"),
    "company": ("yes", "404", "405", "403", "500"),
    "contactfields": ("yes", "404", "405", "403", "none"),       # none: it names no field
    "deal": ("404", "yes", "403", "405", "other"),
    "list": ("404", "yes", "403", "405", "other", "bare", "unpaged", "barePages"),     # bare: a list without meta, whole; barePages: one that pages
    "user": ("404", "yes", "403", "405", "other", "bare", "unpaged", "barePages"),
    "contact": ("yes", "404", "403", "barePages"),
    "members": ("yes", "ignored", "refused", "failing"),         # ignored: list_id narrows nothing; refused: 400; failing: 500 for a list that there is not
    "detail": ("record", "list", "wrapped", "another", "other"),     # another: the record before
    "smallest": ("1", "20"),                      # rows that a page has at least
    "beyond": ("empty", "last", "404"),           # what there is beyond the end: nothing, the last page again, no such page
    "parameters": ("lenient", "strict"),          # strict: 400 for extra_fields and include_fieldsets on anything but contacts
}
OFFERED = ("yes", "bare", "unpaged", "barePages")
NUMBERS = ("id", "company_id", "owner_id", "number_of_employees", "monthly_spend", "value", "contact_id", "pipeline_id", "stage_id", "probability")


class Seeded:
    """Records that are functions of seed and number."""

    custom, kinds = CUSTOM, tuple(FIRST_ID)

    def __init__(self, seed, sizes):
        self.seed, self.sizes = seed, sizes

    def rng(self, kind, number):
        return random.Random(f"{self.seed}/{kind}/{number}")

    def numbers(self, kind):
        return range(FIRST_ID[kind], FIRST_ID[kind] + self.sizes[kind])

    def record(self, kind, number):
        return getattr(self, kind)(number, self.rng(kind, number))

    def contact(self, number, rng):
        name = f"{rng.choice(FIRST)} {rng.choice(LAST)} {rng.choice(LAST)}"
        city, state, postal = rng.choice(CITIES)
        company = rng.choice([None, *range(1, self.sizes["company"] + 1)]) if self.sizes["company"] else None
        opted, date = rng.random() < 0.8, f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        return {
            "id": number, "uuid": f"{rng.getrandbits(64):016x}", "remote_id": f"user-{number}", "name": name,
            "email": f"{ascii_word(name)}.{number}@correio.example" if rng.random() < 0.95 else "", "email_status": None,
            "phone": f"+55 11 4{number % 1000:03}-{number % 10000:04}", "mobile_phone": rng.choice([None, f"+55 11 99999-{number % 10000:04}"]),
            "job_title": rng.choice(JOBS), "gender": rng.choice(["f", "m", None, ""]), "birthdate": f"19{rng.randint(50, 99)}-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}",
            "company": self.company(company, self.rng("company", company))["name"] if company else None, "company_id": company, "companies": [],
            "owner_id": rng.choice([1, 2, 3, None]), "stage_id": rng.choice([None, 5]), "status": 1, "score": rng.randint(0, 100),
            "tags": sorted(rng.sample(CONTACT_TAGS, rng.randint(0, 3))), "optin": opted, "optin_automation": opted,
            "city_name": city, "region_name": state, "state": state, "postal_code": postal, "country_code": "BR", "country_name": "Brazil", "continent_code": "SA",
            "website": "", "facebook": "", "twitter": "", "linkedin": None, "language": "pt-br", "timezone": "America/Sao_Paulo", "avatar": None,
            "emails_sent": rng.randint(0, 90), "opens": rng.randint(0, 40), "clicks": rng.randint(0, 9), "page_views": rng.randint(0, 300), "bounces": 0,
            "last_event": "Baixou o e-book", "last_event_date": f"{date}T09:00:00", "last_conversion_date": None, "nps_score": None, "currency": "BRL",
            "utm_source": rng.choice(["google", "indicação", ""]), "utm_medium": rng.choice(["cpc", ""]), "utm_campaign": "",
            "latitude": -23.550520, "longitude": None, "ip_address": "203.0.113.7", "origin_id": 2,
            "password": "pbkdf2$never-copy-this", "cookie_id": f"never-copy-{number}", "reader": "never-copy-either",
            "creation_date": f"{date}T12:34:56.{rng.randint(0, 999999):06}", "update_date": f"{date}T13:{rng.randint(10, 59)}:00", "updated_by": "api",
            "zz_unknown": {"deep": [1, None, {"x": "desconhecido"}]}, "zz_null": None,
            "custom": {
                "contact_custom_codigo_alumni": f"A-{number}" if rng.random() < 0.9 else None,
                "contact_custom_data_nascimento": f"{rng.randint(1, 28):02}/0{rng.randint(1, 9)}/19{rng.randint(60, 99)}",
                "contact_custom_observacoes": rng.choice(["Prefere café às 15h. ☕", "Indicação da Conceição;\nretornar após o feriado.", None]),
                "contact_custom_segmento": rng.choice(["Indústria", "Comércio", "Serviços"]),
                "contact_custom_pontos": rng.randint(0, 5000),
                "contact_custom_aceita_termos": rng.choice([True, False]),
            },
        }

    def company(self, number, rng):
        name = f"{rng.choice(TRADE)} {rng.choice(WORDS)} {number} {rng.choice(['Ltda', 'S.A.', 'EIRELI'])}"
        city, state, postal = rng.choice(CITIES)
        site = f"www.{ascii_word(name)}.example"
        return {
            "id": number, "remote_id": f"C-{number:05}", "name": name, "website": site, "email": f"contato@{site[4:]}", "phone": f"+55 11 4001-{number % 10000:04}",
            "address_1": f"{rng.choice(STREETS)}, {rng.randint(1, 2000)}", "address_2": rng.choice(["", "Sala 12", None]), "city_name": city, "state": state,
            "postal_code": postal, "country_code": "BR", "industry": rng.randint(1, 9), "number_of_employees": rng.randint(1, 900), "plan": "",
            "monthly_spend": rng.randint(0, 400000) / 100, "stage_id": None, "tags": sorted(rng.sample(COMPANY_TAGS, rng.randint(0, 2))),
            "creation_date": "2025-01-01T00:00:00", "update_date": "2026-01-01T00:00:00", "zz_unknown": ["?"], "zz_null": None,
            "custom": {"company_custom_cnpj": f"{rng.randint(10, 99)}.{rng.randint(100, 999)}.{rng.randint(100, 999)}/0001-{rng.randint(10, 99)}"},
        }

    def deal(self, number, rng):
        stage = rng.choice(STAGES)
        status = "won" if stage[4] == "won" else rng.choice(["open", "open", "lost"])
        return {
            "id": number, "name": f"Proposta {number}", "value": rng.randint(100, 9000000) / 100, "pipeline_id": stage[3], "stage_id": stage[0], "status": status,
            "owner_id": rng.choice([1, 2, 3]), "contact_id": FIRST_ID["contact"] + rng.randrange(max(self.sizes["contact"], 1)),
            "company_id": rng.randint(1, self.sizes["company"]) if self.sizes["company"] else None, "expected_close_date": "2026-12-01",
            "creation_date": "2026-02-03T10:00:00", "close_date": None if status == "open" else "2026-05-05T18:30:00",
            "lost_reason": rng.choice(LOST) if status == "lost" else None, "tags": sorted(rng.sample(DEAL_TAGS, rng.randint(0, 2))),
            "description": rng.choice(NOTES), "zz_unknown": 1e3, "zz_null": None, "custom": {},
        }

    def list(self, number, _rng):
        return {"id": number, "name": f"Lista {number}: {CONTACT_TAGS[number % len(CONTACT_TAGS)]}", "zz_unknown": "?", "zz_null": None, "custom": {}}

    def user(self, number, _rng):
        known = USERS[number - 1] if number <= len(USERS) else (number, f"Usuária {number}", f"usuaria.{number}@vendas.example", "sim")
        return {"id": known[0], "name": known[1], "email": known[2], "active": known[3] == "sim", "zz_unknown": {}, "zz_null": None, "custom": {}}

    @staticmethod
    def is_member(number, contact):
        return (contact * 7 + number) % 3 == 0

    @staticmethod
    def rest(folder):
        """What an account has that no API offers."""
        write(folder, "pipeline", ({"id": i, "name": name} for i, name in PIPELINES))
        write(folder, "stage", (dict(zip(("id", "name", "position", "pipeline_id", "type", "probability"), stage)) for stage in STAGES))


class Exported:
    """Records that are the rows of an export folder: those that can be read and have an id, the first of each."""

    def __init__(self, folder, kinds):
        self.folder, self.kinds, self.rows = folder, kinds, {kind: {} for kind in FIRST_ID}
        for kind in kinds:
            for row in filter(None, read_rows(folder, kind)):
                row = {name: typed(name, value) for name, value in row.items()}
                if row["id"] is not None:
                    self.rows[kind].setdefault(row["id"], row)
        self.members = {(r["list_id"], r["contact_id"]) for r in read_rows(folder, "list_member") if not r["unsubscribed_at"]}     # who left a list is not on it
        names = dict.fromkeys(name for row in self.rows["contact"].values() for name in row if name.startswith("contact_custom_"))
        self.custom = [(name, name.removeprefix("contact_custom_").replace("_", " ").title(), "fieldsets") for name in names]

    def numbers(self, kind):
        return self.rows[kind]

    def record(self, kind, number):
        """One that is not in the folder has a name and an address, and nothing else."""
        rows = self.rows[kind]
        row = rows.get(number) or {**dict.fromkeys(next(iter(rows.values()), ())), "id": number, "name": f"Recém-chegado {number}", "email": f"{kind}.{number}@novo.example"}
        record = {name: value for name, value in row.items() if not name.startswith(f"{kind}_custom_")}
        return record | {
            "uuid": f"{number:016x}", "update_date": "2026-01-01T00:00:00", **dict.fromkeys(NEVER_COPIED, "never-copy-this"),
            "zz_unknown": {"deep": [1, None, {"x": "desconhecido"}]}, "zz_null": None, "custom": {name: value or "" for name, value in row.items() if name not in record},
        }

    def is_member(self, number, contact):
        return (str(number), str(contact)) in self.members

    def rest(self, folder):
        """The files of the other objects, as they are."""
        for file in os.listdir(self.folder):
            if file.split(".")[0].removesuffix("_member") not in self.kinds:
                shutil.copy(os.path.join(self.folder, file), folder)


def typed(name, value):
    """A cell as the API has it; what is no number stays what it is."""
    if name == "tags":
        return value if isinstance(value, list) else [tag for tag in map(str.strip, (value or "").split(",")) if tag]
    if name == "active":
        return value in (True, "sim")
    if name in NUMBERS and isinstance(value, str) and re.fullmatch(r"(0|[1-9]\d*)(\.\d+)?", value):
        return json.loads(value)
    return value


def write(folder, kind, records):
    with open(os.path.join(folder, kind + ".jsonl"), "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


class Account:
    """The records of an origin, and what was changed since."""

    def __init__(self, origin):
        self.origin = origin
        self.numbers = {kind: dict.fromkeys(origin.numbers(kind)) for kind in FIRST_ID}
        self.changed, self.deleted, self.stamps = {}, set(), {}
        self.version, self.kept = 0, {}

    def ids(self, kind, order="id"):
        """Ids in the order of the list."""
        if self.kept.get((kind, order), (None,))[0] != self.version:
            ids = [i for i in self.numbers[kind] if (kind, i) not in self.deleted]
            if order == "updated":
                ids.sort(key=lambda i: (-self.stamps.get((kind, i), 0), i))
            self.kept[kind, order] = (self.version, ids)
        return self.kept[kind, order][1]

    def change(self, kind, number, fields):
        self.changed.setdefault((kind, number), {}).update(fields)
        self.touch(kind, number)

    def delete(self, kind, number):
        self.deleted.add((kind, number))
        self.version += 1

    def insert(self, kind, count=1):
        for _ in range(count):
            number = max(self.numbers[kind], default=FIRST_ID[kind] - 1) + 1
            self.numbers[kind][number] = None
            self.touch(kind, number)

    def touch(self, kind, number):
        self.version += 1
        self.stamps[kind, number] = self.version

    def record(self, kind, number):
        """Everything of a record; custom values under `custom` by name. None where there is none."""
        if number not in self.numbers[kind] or (kind, number) in self.deleted:
            return None
        record = self.origin.record(kind, number)
        for name, value in self.changed.get((kind, number), {}).items():
            (record["custom"] if name in record["custom"] else record)[name] = value
        return record

    def members(self, number):
        """Contacts of a list."""
        return [i for i in self.ids("contact") if number in self.numbers["list"] and self.origin.is_member(number, i)]

    def flat(self, kind, number):
        """A record as an export has it."""
        record = self.record(kind, number)
        custom = {name: value for name, value in record.pop("custom").items() if value is not None}
        return {name: value for name, value in record.items() if name not in NEVER_COPIED} | custom

    def with_deleted(self, keep):
        """The account as if these had not been deleted."""
        other = copy.copy(self)
        other.deleted, other.kept = self.deleted - {(kind, number) for kind, numbers in keep.items() for number in numbers}, {}
        return other

    def export(self, folder):
        """The whole account as export files, those objects too that the API does not offer."""
        os.makedirs(folder, exist_ok=True)
        self.origin.rest(folder)
        for kind in self.origin.kinds:
            write(folder, kind, map(functools.partial(self.flat, kind), self.ids(kind)))
        if "list" in self.origin.kinds:
            write(folder, "list_member", ({"list_id": number, "contact_id": i} for number in self.ids("list") for i in self.members(number)))


class Pipz:
    """What the account's server knows: the account, the switches, the faults, the log."""

    def __init__(self, account, options, key, secret, cap):
        self.account, self.options, self.key, self.secret, self.cap = account, options, key, secret, cap
        self.faults, self.log, self.lock = [], [], threading.RLock()

    # ---- control
    def control(self, order):
        with self.lock:
            if order.get("clear"):
                self.faults.clear()
                self.log.clear()
            for name, value in order.get("options", {}).items():
                if name == "cap":
                    self.cap = value
                elif value in OPTIONS[name]:
                    self.options[name] = value
                else:
                    raise ValueError(f"{name} is one of {OPTIONS[name]}")
            for kind, records in order.get("change", {}).items():
                for number, fields in records.items():
                    self.account.change(kind, int(number), fields)
            for kind, numbers in order.get("delete", {}).items():
                for number in numbers:
                    self.account.delete(kind, number)
            for kind, count in order.get("insert", {}).items():
                self.account.insert(kind, count)
            self.faults += [{"times": 1, "after": 0, **fault} for fault in order.get("faults", [])]
            if "export" in order:
                self.account.with_deleted(order.get("keep", {})).export(order["export"])
            return {"requests": len(self.log), "faults": self.faults}

    def fault(self, kind, number, query):
        """The fault that holds for a request, if one does."""
        for fault in self.faults:
            offset, list_id = int(query.get("offset", 0)), query.get("list_id")
            if fault["times"] <= 0 or fault.get("object", kind) != kind or fault.get("detail", number is not None) != (number is not None) \
                    or offset < fault.get("offset", 0) or str(fault.get("listId", list_id)) != str(list_id):
                continue
            if fault["after"] > 0:
                fault["after"] -= 1
                continue
            fault["times"] -= 1
            return fault
        return {"do": ""}

    def afterwards(self, fault, kind):
        """What happens to the account once the answer is sent."""
        if fault["do"] == "change":
            self.account.change(fault.get("kind", kind), fault["id"], fault.get("set", {}))
        elif fault["do"] == "delete":
            self.account.delete(fault.get("kind", kind), fault["id"])
        elif fault["do"] == "insert":
            self.account.insert(fault.get("kind", kind))

    # ---- answers
    def way_in(self, query, header):
        """`query`, `basic`, or why not."""
        def same(a, b):
            return hmac.compare_digest(a.encode(), b.encode())
        if same(query.get("api_key", ""), self.key) and same(query.get("api_secret", ""), self.secret):
            way = "query"
        elif same(header, "Basic " + base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()):
            way = "basic"
        else:
            return "wrong" if header or "api_key" in query else "none"
        return way if self.options["auth"] in ("either", way) else "refused " + way

    def answer(self, kind, number, query, fault):
        """Status and body of a call that was let in."""
        switch = self.options.get(kind)
        if switch is None or switch.isdigit():
            status = int(switch or 404)
            return status, {"user_message": {404: "Recurso não encontrado", 403: "Sem permissão", 405: "Método não permitido", 500: "Erro"}[status]}
        if switch == "other":
            return 200, {"result": "ok"}
        if kind == "contactfields" and switch == "none":
            return 200, []
        if kind == "contactfields":
            return 200, [{"name": n, "label": label, "group": g} for n, label, g in STANDARD] + [{"name": n, "label": label, "group": "Custom", "zz": None} for n, label, _ in self.account.origin.custom]
        if self.options["parameters"] == "strict" and kind != "contact" and {"extra_fields", "include_fieldsets"} & set(query):
            return 400, {"user_message": "Parâmetro desconhecido"}
        full = query.get("extra_fields") == "1"
        if number is not None:
            number -= self.options["detail"] == "another"
            record = self.account.record(kind, number)
            record = record and self.shape(kind, record, full, True)
            if record and kind == "contact" and self.options["rows"] == "own":
                record = record | {"fieldsets": [{"name": "Dados", "fields": [{"name": "contact_name", "label": "Nome", "value": record["name"]}]}], "custom_fields": {}, "custom_attributes": {}}
            if record:
                record = {"list": [record], "wrapped": {"status": "ok", kind: record}, "other": {"result": "ok"}}.get(self.options["detail"], record)
            return (200, record) if record else (404, {"user_message": f"{kind} {number} não existe"})
        return self.page(kind, query, fault, full, switch)

    def page(self, kind, query, fault, full, switch):
        try:
            limit, offset = int(query.get("limit", 20)), int(query.get("offset", 0))
        except ValueError:
            return 400, {"user_message": "limit e offset são números"}
        if limit < 1 or offset < 0:
            return 400, {"user_message": "limit e offset são positivos"}
        limit = min(limit, self.cap)
        ids = self.account.ids(kind, self.options["order"])
        limit = max(limit, int(self.options["smallest"]))
        if kind == "contact" and "list_id" in query:
            if self.options["members"] == "refused":
                return 400, {"user_message": "O campo 'list_id' não permite filtro"}
            if self.options["members"] == "failing" and int(query["list_id"]) not in self.account.ids("list", "id"):
                return 500, {"user_message": "Erro"}
            if self.options["members"] != "ignored":
                ids = self.account.members(int(query["list_id"]))
        if self.options["beyond"] == "404" and offset >= len(ids) > 0:
            return 404, {"user_message": "Página não encontrada"}
        if self.options["beyond"] == "last":
            offset = min(offset, max(0, len(ids) - limit))
        if fault["do"] == "repeat":
            offset = max(0, offset - limit)
        if fault["do"] == "shrink":
            limit = min(limit, fault.get("rows", 1))
        with_fieldsets = query.get("include_fieldsets") == "1" and self.options["rows"] != "summary"
        whole = switch in ("bare", "unpaged")
        count = len(ids)
        if kind == "contact" and self.options["meta"] == "hiding":
            ids = ids[:-2]
        rows = [self.shape(kind, self.account.record(kind, i), full, with_fieldsets) for i in (ids if whole else ids[offset:offset + limit])]
        if kind == "contact" and self.options["rows"] == "fieldsets":
            rows = [{name: row[name] for name in (*SUMMARY, "fieldsets") if name in row} for row in rows]
        if kind == "contact":
            rows = [self.as_listed(row, offset + place) for place, row in enumerate(rows)]
        if switch in ("bare", "barePages"):
            return 200, rows
        meta = {"limit": limit, "offset": offset, "previous": None, "next": None, "total_count": count}
        if self.options["meta"] == "lying":
            meta = {"limit": 1, "offset": 7, "next": "/api/v1/nowhere/", "total_count": 3}
        if self.options["meta"] == "boasting":
            meta["total_count"] *= 12
        return 200, {"objects": rows} if self.options["meta"] == "absent" else {"meta": meta, "objects": rows}

    def as_listed(self, row, place):
        """A contact as lists have it, where details have more."""
        rows = self.options["rows"]
        if rows == "own" or rows == "late" and place >= 5:
            row.pop("phone", None)
        if rows == "cut" and len(row["name"] or "") > 6:
            row["name"] = row["name"][:6] + "…"
        return row

    def shape(self, kind, record, full, with_fieldsets):
        """A record as this account's server writes it."""
        custom = record.pop("custom")
        if kind == "company":
            return record | {"custom_attributes": {name.removeprefix("company_custom_"): value for name, value in custom.items()}}
        if kind != "contact":
            return record
        if not with_fieldsets:
            return {name: record[name] for name in SUMMARY}
        mode, fields = self.options["custom"], []
        places = {"custom_fields": {}, "custom_attributes": {}}
        for name, label, mixed in self.account.origin.custom:
            place, value = mixed if mode == "mixed" else mode, custom[name]
            if not full or place == "none":
                continue
            if place == "fieldsets":
                fields.append({"name": name, "label": label, "value": value, "zz": None})
            elif place == "root":
                record[name] = value
            elif place == "label":
                places["custom_attributes"][label] = value
            else:
                places[place][name if place == "custom_fields" else name.removeprefix("contact_custom_")] = value
            if mode == "mixed" and place != "fieldsets":
                fields.append({"name": name, "label": label, "value": None})      # there too, and empty: the value wins
        half = len(fields) // 2
        sets = [{"name": "Dados", "fields": fields[:half]}, {"name": "Outros", "fields": fields[half:]}]
        return record | places | {"fieldsets": sets if self.options["fieldsets"] == "list" else {"1": sets[0], "2": sets[1]}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pipz", ""
    disable_nagle_algorithm = True                # head and body go by themselves: 40 ms a call
    pipz = None

    def log_message(self, *_):
        """Nothing: an address holds the keys."""

    def do_GET(self):
        if self.path.rstrip("/") == "/_log":
            with self.pipz.lock:
                return self.send(200, {"requests": self.pipz.log})
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        parts = [part for part in address.path.split("/") if part]
        parts = parts[2:] if parts[:2] == ["api", "v1"] else parts[1:] if parts[:1] == ["v1"] else ["nowhere"]
        kind, number = parts[0] if parts else "nowhere", int(parts[1]) if len(parts) == 2 and parts[1].isdigit() else None
        with self.pipz.lock:
            way = self.pipz.way_in(query, self.headers.get("Authorization", ""))
            entry = {"n": len(self.pipz.log), "at": time.monotonic(), "path": address.path, "auth": way, "agent": self.headers.get("User-Agent"),
                     "query": {k: v for k, v in query.items() if not k.startswith("api_")}, "status": None, "fault": ""}
            self.pipz.log.append(entry)
            if way not in ("query", "basic"):
                entry["status"] = 401
                return self.send(401, {"user_message": "Credenciais inválidas"})
            fault = self.pipz.fault(kind, number, query)
            entry["fault"] = fault["do"]
            status, body, headers = self.spoilt(fault) or (*(self.pipz.answer(kind, number, query, fault) if len(parts) <= 2 else (404, {})), {})
            entry["status"] = status
            if isinstance(body, dict):
                entry["rows"] = len(body.get("objects", ()))
            self.pipz.afterwards(fault, kind)
        if fault["do"] == "slow":
            time.sleep(fault.get("seconds", 1))
        self.send(status, body, headers, half=fault["do"] == "drop")

    @staticmethod
    def spoilt(fault):
        """An answer that has nothing to do with what was asked."""
        if fault["do"] == "429":
            wait = {} if fault.get("retryAfter") is None else {"Retry-After": str(fault["retryAfter"])}
            return 429, {"user_message": "Muitas requisições"}, wait
        if fault["do"] == "status":
            return fault.get("status", 502), "<html><body>Bad gateway</body></html>", {}
        if fault["do"] == "html":
            return 200, "<html><body>Manutenção</body></html>", {}
        if fault["do"] == "redirect":
            return 302, "", {"Location": fault["to"]}
        return None

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.rstrip("/") != "/_control":
            return self.send(405, {"user_message": "somente leitura"})
        try:
            self.send(200, self.pipz.control(json.loads(text or b"{}")))
        except (ValueError, KeyError, OSError) as error:
            self.send(400, {"user_message": repr(error)})

    def send(self, status, body, headers=None, half=False):
        html = isinstance(body, str)
        data = body.encode() if html else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if html else "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if half else data)
        if half:
            self.close_connection = True


def main():
    parser = argparse.ArgumentParser(description="A Pipz to test against.")
    for kind, default in (("contacts", 200), ("companies", 40), ("deals", 0), ("lists", 3), ("users", len(USERS))):
        parser.add_argument("--" + kind, type=int, default=default)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--key", default="K-publica")
    parser.add_argument("--secret", default="S-secreta")
    parser.add_argument("--cap", type=int, default=500, help="most rows of a page, whatever is asked for")
    parser.add_argument("--from", dest="folder", metavar="DIR", help="serves the rows of this export")
    parser.add_argument("--export", metavar="DIR", help="writes the account as export files first")
    parser.add_argument("--only-export", action="store_true", help="and ends")
    for name, values in OPTIONS.items():
        parser.add_argument("--" + name, choices=values, default=values[0])
    args = parser.parse_args()
    if args.folder:
        origin = Exported(args.folder, [kind for kind in FIRST_ID if getattr(args, kind) in OFFERED])
    else:
        origin = Seeded(args.seed, {"contact": args.contacts, "company": args.companies, "deal": args.deals, "list": args.lists, "user": args.users})
    account = Account(origin)
    if args.export:
        account.export(args.export)
        if args.only_export:
            return
    Handler.pipz = Pipz(account, {name: getattr(args, name) for name in OPTIONS}, args.key, args.secret, args.cap)
    server = ThreadingHTTPServer((args.host, args.port), Handler)
    server.daemon_threads = True
    print(f"http://{args.host}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
