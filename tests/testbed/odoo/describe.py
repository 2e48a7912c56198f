#!/usr/bin/env python3
"""Describes an Odoo 19 for `src/odoo/odoo19.json.zst`: models as the server tells them, and the records a fresh
database is born with.

    ODOO_URL=http://127.0.0.1:8069 ODOO_API_KEY=… tests/testbed/odoo/describe.py | zstd -19 -f -o src/odoo/odoo19.json.zst

Run it against a fresh database in English with the modules of `up.sh` (no demo data): what people made in it since would
be taken for part of Odoo. Standard library only.
"""
import json
import os
import re
import sys
import urllib.error
import urllib.request

URL = os.environ.get("ODOO_URL", "http://127.0.0.1:8069")
KEY = os.environ["ODOO_API_KEY"]

FAMILIES = re.compile(
    r"^(crm|res|sale|mailing|calendar|project|product|hr|survey|event|loyalty|utm|mail|phone|link\.tracker|uom|resource|"
    r"rating|sms)\.|^ir\.(model(\..*)?|attachment|config_parameter|filters|sequence|module\.module|default|"
    r"ui\.menu|actions\.(server|act_window))$|^base\.automation$"
)
LEFT_OUT = re.compile(r"\.report$|^res\.(device|users\.apikeys\.show)|^mail\.(ice|push|link|gateway|presence|bot)")
ATTRIBUTES = ["type", "string", "required", "readonly", "store", "relation", "selection", "translate", "size",
              "related", "depends", "relation_field"]
MAGIC = {"create_uid", "create_date", "write_uid", "write_date", "display_name"}
SEED = {
    "res.lang": ([["code", "in", ["en_US", "pt_BR", "es_ES", "fr_FR", "de_DE", "it_IT", "ru_RU"]]],
                 ["name", "code", "iso_code", "url_code", "active", "direction", "date_format", "time_format", "grouping",
                  "decimal_point", "thousands_sep", "week_start"]),
    "res.currency": ([], ["name", "full_name", "symbol", "active", "rounding", "position"]),
    "res.country": ([], ["name", "code", "phone_code", "currency_id", "zip_required", "state_required"]),
    "res.country.state": ([], ["name", "code", "country_id"]),
    "res.partner": ([["id", "<=", 5]], ["name", "active", "email", "is_company", "type", "company_id", "user_id"]),
    "res.company": ([], ["name", "partner_id", "currency_id", "active"]),
    "res.users": ([], ["login", "partner_id", "active", "company_id", "company_ids"]),
    "crm.team": ([], ["name", "active", "user_id", "company_id", "sequence", "use_leads", "use_opportunities"]),
    "crm.stage": ([], ["name", "sequence", "is_won", "fold", "requirements", "team_ids"]),
    "crm.lost.reason": ([], ["name", "active"]),
    "crm.recurring.plan": ([], ["name", "active", "number_of_months", "sequence"]),
    "utm.stage": ([], ["name", "sequence"]),
    "utm.source": ([], ["name"]),
    "utm.medium": ([], ["name", "active"]),
    "utm.campaign": ([], ["name", "title", "active", "stage_id", "user_id"]),
    "utm.tag": ([], ["name", "color"]),
    "res.partner.industry": ([], ["name", "full_name", "active"]),
    "mail.activity.type": ([], ["name", "category", "active", "res_model"]),
    "mail.message.subtype": ([], ["name", "res_model", "internal", "default", "sequence"]),
    "uom.uom": ([], ["name", "active", "factor"]),
    "product.category": ([], ["name"]),
    "res.groups": ([], ["name"]),
    "ir.ui.menu": ([["parent_id", "=", False]], ["name", "sequence", "active"]),
    "ir.module.module": ([["state", "=", "installed"]], ["name", "state"]),
}


def call(model, method, **args):
    request = urllib.request.Request(
        f"{URL}/json/2/{model}/{method}", json.dumps(args).encode(),
        {"Authorization": f"bearer {KEY}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def fields_of(model):
    fields = {}
    for name, raw in sorted(call(model, "fields_get", attributes=ATTRIBUTES).items()):
        field = {k: v for k, v in raw.items() if v not in (False, None, [], "") and k != "name"}
        if isinstance(field.get("selection"), list):
            field["selection"] = [[str(value), str(label)] for value, label in field["selection"]]
        field["depends"] = bool(raw.get("depends"))
        if not field["depends"]:
            del field["depends"]
        fields[name] = field
    return fields


def defaults_of(model, fields):
    names = [n for n, f in fields.items() if f["type"] not in ("one2many", "binary", "json", "properties_definition")
             and n not in MAGIC]
    try:
        return {n: v for n, v in sorted(call(model, "default_get", fields=names).items())}
    except urllib.error.HTTPError as error:
        print(f"{model}: no default_get ({error.code})", file=sys.stderr)
        return {}


def models():
    rows = call("ir.model", "search_read", domain=[["transient", "=", False], ["abstract", "=", False]],
                fields=["model", "name", "order"], order="model")
    out = {}
    for row in rows:
        model = row["model"]
        if not FAMILIES.search(model) or LEFT_OUT.search(model):
            continue
        try:
            fields = fields_of(model)
        except urllib.error.HTTPError as error:
            print(f"{model}: left out ({error.code})", file=sys.stderr)
            continue
        out[model] = {"label": row["name"], "id": row["id"], "order": row["order"], "fields": fields,
                      "defaults": defaults_of(model, fields)}
    return out


def seed():
    """Records by model, and their external ids, as rows of the memory Odoo's tables."""
    out = {}
    for model, (domain, fields) in SEED.items():
        rows = call(model, "search_read", domain=domain, fields=["id", *fields], order="id",
                    context={"active_test": False, "lang": "en_US"})
        for row in rows:
            for name, value in row.items():
                if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str):
                    row[name] = value[0]
        out[model] = [{k: v for k, v in row.items() if v not in (False, [])} for row in rows]
        if "active" in fields:
            for row in out[model]:
                row.setdefault("active", False)
    wanted = [m for m in out if m != "ir.module.module"]
    rows = call("ir.model.data", "search_read", domain=[["model", "in", wanted]],
                fields=["module", "name", "model", "res_id", "noupdate"], order="id")
    known = {(model, row["id"]) for model in out for row in out[model]}
    out["ir.model.data"] = [row for row in rows if (row["model"], row["res_id"]) in known
                            and not row["module"].startswith(("__", "crmferry"))]
    return out


def main():
    version = json.load(urllib.request.urlopen(f"{URL}/web/version", timeout=10))["version"]
    records = seed()
    modules = sorted(row["name"] for row in records.pop("ir.module.module"))
    json.dump({"version": version, "modules": modules, "models": models(), "seed": records}, sys.stdout,
              ensure_ascii=False, sort_keys=True, separators=(",", ":"))


main()
