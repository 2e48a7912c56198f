"""What people make in Odoo is waited for; files and notes come along, by a mapping that is laid over the catalogue's."""

import base64
import csv
import hashlib
import io
import json
import os
import random
import shutil
import struct
import zlib

import bed

from . import scenario

SMALL = (40, 120, 60)
NEWCOMERS = {"99": "nova.vendedora@vendas.example", "4": "visitante@fora.example"}
MAPPING = """apiVersion: crmferry.io/v1alpha1
kind: MappingSpec
metadata: {name: with-files}
spec:
  extends: pipz-to-odoo
  objects:
  - name: companies
    fields:
    - {to: x_pipz_cnpj, from: company_custom_cnpj, create: {type: Char, label: CNPJ}}
  - name: contacts
    fields:
    - {to: x_pipz_codigo_alumni, from: contact_custom_codigo_alumni, create: {type: Char, label: Código Alumni}}
  - name: deals
    fields:
    - {to: x_pipz_contract, from: contract_no, create: {type: Char, label: Contract}}
  - name: attachments
    source: {object: attachment}
    key: [id]
    destination: {model: ir.attachment}
    fields:
    - {to: name, from: name, onEmpty: Reject}
    - {to: mimetype, from: type, onEmpty: Skip}
    - {to: datas, fetch: path}
    - {to: res_id, from: contact_id, lookup: {object: contacts}}
    - {to: res_id, part: deal, from: deal_id, lookup: {object: deals}, onEmpty: Reject}
    - {to: x_pipz_created, from: created_at, create: {type: DateTime, label: Created in Pipz}}
  - name: notes
    source: {object: note, orderBy: created_at}
    key: [id]
    destination: {model: mail.message}
    fields:
    - {to: res_id, from: deal_id, lookup: {object: deals}, onEmpty: Reject}
    - {to: subtype_id, constant: mail.mt_note, lookup: {model: mail.message.subtype, by: id}}
    - {to: message_type, constant: comment}
    - {to: date, from: created_at, onEmpty: Reject}
    - {to: body, cel: html(record.text)}
    - {to: author_id, from: owner_id, lookup: {object: users, take: partner_id}}
    - {to: email_from}
    - {to: reply_to}
    - {to: is_internal, constant: "true"}
    - {to: attachment_ids, from: files, lookup: {object: attachments}}
"""


@scenario
def a_cutover_waits_for_a_user_and_files_and_notes_come_along(stage):
    odoo = stage.clean_odoo()
    ferry = stage.ferry(size=SMALL, whole=True)
    ferry.exports, wanted, notes = _exports(os.path.join(bed.OUT, "exports", "with-files"))
    ferry.claim()
    ferry.secret()
    ferry.apply(MAPPING, ferry.manifest(mappingSpecRef={"name": "with-files"}, owners={"onMissing": "Hold"}, cutover={"every": "20s"}))
    ferry.crmferry("push", ferry.exports, "migration/acme")
    ferry.until_gate("mapping")
    ferry.approve("mapping")

    ferry.until_named("Missing in Odoo", "users 99:", "users 4:", "create them in Odoo", "Owners", seconds=420)
    queue = {(row.get("key", ""), row.get("by", "")): row["records"] for row in ferry.status()["queue"] if row["object"] == "users"}
    assert {key for key, _ in queue} >= {*NEWCOMERS} and queue["99", "contacts"], f"not the two who are missing: {queue}"
    assert ferry.gate("cutover")["state"] != "Waiting" and ferry.books()["contacts"]["held"], ferry.status()["gates"]
    assert not odoo.count("res.users", ["login", "in", list(NEWCOMERS.values())]), "users were made"
    assert not odoo.count("res.partner", ["name", "=", _owned(ferry.exports)["name"]]), "what waits for its owner is there without"

    odoo.people(*NEWCOMERS.values())
    ferry.until_gate("cutover", seconds=300)
    assert not any(row.get("key") in NEWCOMERS for row in ferry.status().get("queue", [])), ferry.status()["queue"]      # one agent is in no export
    owned = odoo.call("res.partner", "search_read", domain=[["name", "=", _owned(ferry.exports)["name"]]], fields=["user_id"])
    assert [row["user_id"][1] for row in owned] == ["Nova Vendedora"], owned
    ferry.approve("cutover")
    ferry.until_phase("Completed")
    ferry.verify_rows()
    _files_are_whole(odoo, wanted)
    _notes_are_told(odoo, notes)
    odoo.no_mail()


def _files_are_whole(odoo, wanted):
    """Name, kind, time, place, size and checksum of each, and the bytes themselves; and no file besides."""
    fields = ["name", "mimetype", "file_size", "checksum", "datas", "res_model", "res_id", "x_pipz_created"]
    rows = odoo.call("ir.attachment", "search_read", domain=[["res_model", "in", ["res.partner", "crm.lead"]], ["res_field", "=", False]], fields=fields)
    found = {}
    for row in rows:
        whose = odoo.call(row["res_model"], "read", ids=[row["res_id"]], fields=["name"])[0]["name"]
        raw = base64.b64decode(row["datas"] or "")
        found[row["name"]] = (row["mimetype"], row["x_pipz_created"], row["res_model"], whose, row["file_size"], row["checksum"] or hashlib.sha1(raw).hexdigest(), hashlib.sha256(raw).hexdigest())
    assert len(rows) == len(wanted) and found == wanted, f"files differ:\n{found}\n{wanted}"


def _notes_are_told(odoo, wanted):
    """On its deal, at its time, by its author, with its file, and in order."""
    fields = ["body", "date", "author_id", "record_name", "attachment_ids", "is_internal", "res_id"]
    rows = odoo.call("mail.message", "search_read", domain=[["model", "=", "crm.lead"], ["message_type", "=", "comment"]], fields=fields, order="id")
    names = {row["id"]: row["name"] for row in odoo.call("ir.attachment", "read", ids=[i for row in rows for i in row["attachment_ids"]], fields=["name"])}
    deals = {row["id"]: row["name"] for row in odoo.call("crm.lead", "search_read", domain=[], fields=["name"], context={"active_test": False})}
    found = [(deals[r["res_id"]], r["date"], r["author_id"] and r["author_id"][1], r["body"], [names[i] for i in r["attachment_ids"]], r["is_internal"]) for r in rows]
    assert sorted(found) == sorted(wanted), f"notes differ:\n{found}\n{wanted}"
    assert [f for f in found if f[0] == wanted[0][0]] == [w for w in wanted if w[0] == wanted[0][0]], f"in another order: {found}"


# ---- the export ------------------------------------------------------------------------------------------------------------
def _owned(folder):
    """A contact of whom nobody in Odoo is yet."""
    with open(os.path.join(folder, "contact.jsonl"), encoding="utf-8") as file:
        return next(row for row in map(json.loads, filter(lambda line: line.rstrip().endswith("}"), file)) if row["owner_id"] == 99)


def _rows(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def _picture():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


def _exports(folder):
    """The small export with one user more, files and notes; what must be in Odoo of both, by name and in order."""
    plain, _ = bed.exports(*SMALL)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(plain, folder)
    users = _rows(folder, "user.csv")
    _write(os.path.join(folder, "user.csv"), [*users, {**users[0], "id": "99", "name": "Nova Vendedora", "email": NEWCOMERS["99"], "active": "sim"}])
    owned = _owned(folder)
    once = {row["id"]: row for row in _rows(folder, "deal.csv") if row["owner_id"] in ("1", "2") and row["status"] == "open" and row["name"].startswith("Proposta 7")}
    deals = list(once.values())[-2:]
    rng = random.Random(7)
    files = [  # path, name, type, time and the same as Odoo has it, whose, bytes
        ("files/contrato.pdf", "Contrato nº 1.pdf", "application/pdf", "2025-05-01T10:00:00", "2025-05-01 13:00:00", owned, b"%PDF-1.7\n" + rng.randbytes(3 * 1024 * 1024)),
        ("files/2025/dados.bin", "dados.bin", "application/octet-stream", "02/07/2025 09:30", "2025-07-02 12:30:00", deals[0], rng.randbytes(6 * 1024 * 1024 + 1)),
        ("files/ação.txt", "Ação ☕.txt", "text/plain", "2025-08-30T23:59:59", "2025-08-31 02:59:59", deals[0], "Preço < 1.000 & prazo\n".encode() * 40),
        ("files/foto.png", "foto.png", "image/png", "", False, deals[1], _picture()),
        ("files/vazio.txt", "vazio.txt", "text/plain", "2025-01-01T00:00:00", "2025-01-01 03:00:00", owned, b""),
    ]
    rows, wanted = [], {}
    for number, (path, name, kind, at, there, whose, content) in enumerate(files, 1):
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "wb") as file:
            file.write(content)
        contact = whose is owned
        rows.append({"id": number, "name": name, "type": kind, "created_at": at, "path": path, "contact_id": whose["id"] if contact else "", "deal_id": "" if contact else whose["id"]})
        wanted[name] = (kind, there, "res.partner" if contact else "crm.lead", whose["name"], len(content), hashlib.sha1(content).hexdigest(), hashlib.sha256(content).hexdigest())
    _write(os.path.join(folder, "attachment.csv"), rows)
    notes = [  # id, whose, time and the same as Odoo has it, author and their name, text and body, files and their names
        (1, deals[0], "2025-06-02T08:00:00", "2025-06-02 11:00:00", "1", "Amelia Prado", "Segue o anexo", "<p>Segue o anexo</p>", "2", ["dados.bin"]),
        (2, deals[0], "2025-06-01T08:00:00", "2025-06-01 11:00:00", "2", "Otto Brandao", "Preço < 1.000 & prazo", "<p>Preço &lt; 1.000 &amp; prazo</p>", "", []),
        (3, deals[1], "2025-06-03T08:00:00", "2025-06-03 11:00:00", "99", "Nova Vendedora", "Cheguei 👋", "<p>Cheguei 👋</p>", "", []),
    ]
    _write(os.path.join(folder, "note.csv"), [{"id": i, "deal_id": deal["id"], "created_at": at, "owner_id": by, "text": text, "files": held} for i, deal, at, _, by, _, text, _, held, _ in notes])
    told = [(deal["name"], there, name, body, names, True) for _, deal, _, there, _, name, _, body, _, names in notes]
    return folder, wanted, sorted(told, key=lambda note: note[1])
