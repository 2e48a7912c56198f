"""Bad input: a clear error or a counted reject that names the place, and nothing half done. On an Odoo in memory."""

import csv
import json
import os
import shutil
import tempfile

import bed
from bed import run
from ferry import SAMPLE

from . import scenario

MAPPING = """apiVersion: crmferry.io/v1alpha1
kind: MappingSpec
metadata: {name: pipz-to-odoo}
spec:
  extends: pipz-to-odoo
  objects:
"""


def _validate(text):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        done = run("crmferry", "validate", file.name, check=False)
        return done.returncode, done.stdout + done.stderr


def _invalid(text, *words):
    code, said = _validate(text)
    assert code == 5, f"exit {code}: {said}"
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"


@scenario
def mappings_that_make_no_sense_are_refused_with_place_and_remedy(stage):
    _invalid(MAPPING + "    - name: contacts\n      fields: [{to: phone, from: phone\n", ".yaml:8")
    _invalid(MAPPING + "    - {name: contacts, fields: [{to: functoin, from: job_title}]}\n", "contacts", "functoin", "function")
    _invalid(MAPPING + "    - {name: contacts, fields: [{to: phone, frm: phone}]}\n", "frm", "from")
    _invalid(MAPPING + "    - {name: companies, after: [contacts]}\n", "Cycle", "contacts needs companies", "companies needs contacts")
    code, said = _validate(MAPPING.replace("  objects:\n", ""))
    assert code == 0, said


class _Laptop:
    """`crmferry run` on the sample, with one file made worse."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(dir=bed.OUT)
        self.exports = os.path.join(self.folder, "exports")
        shutil.copytree(os.path.join(SAMPLE, "exports"), self.exports)

    def rows(self, name, delimiter):
        with open(os.path.join(self.exports, name), newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file, delimiter=delimiter))

    def spoil(self, name, change):
        path = os.path.join(self.exports, name)
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb") as file:
            file.write(change(content))

    def run(self):
        done = run("crmferry", "run", "-f", os.path.join(SAMPLE, "mapping.yaml"), os.path.join(SAMPLE, "migration.yaml"), "--workspace", os.path.join(self.folder, "ws"),
                   "--exports", self.exports, "--approve", "mapping", "--approve", "cutover", check=False)
        with open(os.path.join(self.folder, "ws", "status.json"), encoding="utf-8") as file:
            self.status = json.load(file)
        return done.returncode, done.stdout + done.stderr

    def rejects(self, name):
        found = []
        for folder, _, files in os.walk(os.path.join(self.folder, "ws")):
            if folder.endswith(os.path.join("results", name)) and "rejected.csv" in files:
                with open(os.path.join(folder, "rejected.csv"), newline="", encoding="utf-8") as file:
                    found += list(csv.DictReader(file))
        return found

    def book(self, name):
        return next(o["book"] for o in self.status["objects"] if o["name"] == name)


def _compared(change, file="deal.csv", name="deals"):
    """Runs the sample as it is and made worse: how many more are rejected, and what is said of them."""
    plain = _Laptop()
    code, said = plain.run()
    assert code == 0, said
    worse = _Laptop()
    worse.spoil(file, change)
    code, said = worse.run()
    more = worse.book(name)["rejected"] - plain.book(name)["rejected"]
    before = [json.dumps(r, sort_keys=True) for r in plain.rejects(name)]
    new = [r for r in worse.rejects(name) if json.dumps(r, sort_keys=True) not in before]
    assert worse.book(name)["balanced"], worse.book(name)
    shutil.rmtree(plain.folder)
    shutil.rmtree(worse.folder)
    return code, said, more, json.dumps(new, ensure_ascii=False)


def _line(content, number):
    return content.split(b"\n")[number - 1]


@scenario
def a_broken_quote_costs_one_row_that_is_named(stage):
    code, said, more, rejects = _compared(lambda c: c.replace(b"\nid", b"id") + b'99901,"Proposta sem fim,1,10\n99902,Outra,1,10\n')
    assert code in (0, 4) and more >= 1, f"exit {code}, {more} more rejected: {said}"
    assert "deal.csv" in rejects and "line" in rejects, rejects


@scenario
def a_cell_of_ten_megabytes_and_a_nul_byte_are_rejects_with_their_line(stage):
    def big(content):
        header = _line(content, 1).decode("utf-8-sig").split(",")
        row = dict.fromkeys(header, "")
        row.update(id="99901", name="x" * 10_000_000)
        return content + ",".join(row[h.strip()] if h.strip() in row else "" for h in header).encode() + b"\n"
    code, said, more, rejects = _compared(big)
    assert more == 1 and "deal.csv" in rejects and "line" in rejects, f"exit {code}, {more} more rejected: {rejects[:400]} {said}"

    def nul(content):
        return content.replace(b"Proposta ", b"Propo\x00sta ", 1)
    code, said, more, rejects = _compared(nul)
    assert more == 1, f"exit {code}, {more} more rejected: {rejects[:400]} {said}"


@scenario
def a_column_that_is_missing_is_named_before_anything_is_written(stage):
    laptop = _Laptop()

    def without_name(content):
        return content.replace(b",name,", b",nome_da_proposta,", 1)
    laptop.spoil("deal.csv", without_name)
    code, said = laptop.run()
    assert code != 0 and "name" in said and "deal" in said, f"exit {code}: {said}"
    shutil.rmtree(laptop.folder)
