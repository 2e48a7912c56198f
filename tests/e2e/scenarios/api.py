"""The API of Pipz as the source, with export files beside it for what it lacks: a simulator on the bridge, where pods reach it."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import bed
from ferry import until

from . import scenario
from .whole import nothing_is_written_before_the_mapping_is_approved, the_same_again_changes_nothing

sys.path.append(bed.BED)
from verify import read_rows                                               # noqa: E402

OFFERED = ("contact", "company", "list", "list_member")
KEY, SECRET = "K-da-conta-acme", "S-da-conta-acme"
SMALL = (60, 300, 150)


@scenario
def the_api_beside_the_exports(stage):
    """Once; again, where nothing is sent; and what changes before the cutover, though the API cannot say what that is."""
    with _begun(stage, SMALL) as (ferry, account):
        ferry.complete()
        dates = os.path.join(account.folder, "dates.json")
        ferry.verify("--write-dates", dates, folder=account.written())
        ferry.verb("rerun")
        ferry.until_gate("mapping")
        ferry.approve("mapping")
        ferry.until_gate("cutover")
        assert ferry.sent() == {}, f"sent again: {ferry.sent()}"
        ferry.verify("--same-dates", dates, folder=account.written())
        members, deals = ({str(row["contact_id"]) for row in account.rows(name)} for name in ("list_member", "deal"))
        contacts = [row["id"] for row in account.rows("contact") if row["email"] and row["company_id"]]
        gone = next(i for i in contacts if str(i) in members & deals)
        contacts.remove(gone)
        account.control(delete={"contact": [gone]}, insert={"contact": 1}, change={
            "contact": {contacts[3]: {"job_title": "Promovida em dezembro"}, contacts[30]: {"contact_custom_codigo_alumni": "A-novo", "phone": None}, contacts[-1]: {"tags": ["vip"]}},
            "company": {1: {"phone": "+55 11 9999-0001"}, 5: {"company_custom_cnpj": "00.000.000/0001-91"}}})
        ferry.complete()
        assert ferry.sent() == {"companies": (0, 2), "contacts": (1, 3)}, f"sent {ferry.sent()}"
        deleted = {name: book["deleted"] for name, book in ferry.books().items() if book["deleted"]}
        assert deleted == {"contacts": 1, "listContacts": 1}, f"gone {deleted}"
        ferry.verify(folder=account.written(keep=[gone]))


@scenario
def the_whole_life_over_xml_rpc(stage):
    """From the API and exports into a server without JSON-2, which wants a login beside the key, and says so."""
    stage.wire.json2 = False
    with _begun(stage, SMALL, authentication="Basic") as (ferry, account):
        until(lambda: "no JSON-2" in ferry.waits(), 120, lambda: f"the missing login is not named: {ferry.waits()}")
        ferry.until_named("SecretMissing", "needs the key login, since the server has no JSON-2", "kubectl")
        ferry.secret(login=stage.odoo.login)
        ferry.verb("retry")
        ferry.until_gate("mapping")
        ferry.until_named("over XML-RPC: the server has no JSON-2 (404 text/html)")
        nothing_is_written_before_the_mapping_is_approved(stage, ferry, stage.odoo)
        ferry.complete()
        assert ("res.partner.create", "res.partner", True) in stage.wire.calls, f"nothing was created through the wire: {stage.wire.calls}"
        dates = os.path.join(account.folder, "dates.json")
        ferry.verify_rows("--write-dates", dates, folder=account.written())
        the_same_again_changes_nothing(stage, ferry, dates, folder=account.written())
        stage.odoo.no_mail()


@scenario
def the_api_at_its_worst(stage):
    """Rows are summaries, so each contact is asked for by itself; all that can go wrong does, in one extraction."""
    with _begun(stage, SMALL, "--rows", "summary", "--cap", "25") as (ferry, account):
        ids = [row["id"] for row in account.rows("contact")]
        early, unseen, moved, late = ids[5], ids[60], ids[70], ids[-1]
        page, detail = {"object": "contact", "detail": False}, {"object": "contact", "detail": True}
        ferry.until_phase("Extracting")
        account.control(faults=[
            {"do": "429", "retryAfter": 1, "object": "company", "times": 2}, {"do": "drop", "object": "company", "offset": 1}, {"do": "shrink", "rows": 3, "object": "company", "offset": 20},
            {"do": "change", "object": "company", "offset": 30, "id": 1, "set": {"phone": "+55 11 9999-0001"}},
            {"do": "429", **page, "offset": 20}, {"do": "status", "status": 502, **page, "offset": 40, "times": 3}, {"do": "delete", **page, "offset": 40, "id": unseen},
            {"do": "change", **page, "offset": 60, "id": moved, "set": {"job_title": "Mudou com a página na mão"}}, {"do": "repeat", **page, "offset": 90, "times": 2},
            {"do": "shrink", "rows": 1, **page, "offset": 120}, {"do": "html", **page, "offset": 130}, {"do": "change", **page, "offset": 140, "id": ids[0], "set": {"job_title": "Mudou depois de lida"}},
            {"do": "delete", **page, "offset": 180, "id": early}, {"do": "insert", **page, "offset": 200}, {"do": "change", **page, "offset": 220, "id": late, "set": {"name": "Mudou antes"}},
            {"do": "drop", **detail, "after": 20, "times": 2}, {"do": "status", "status": 503, **detail, "after": 40, "times": 2}, {"do": "429", "retryAfter": 1, **detail, "after": 60},
            {"do": "status", "status": 500, "object": "list", "times": 2}, {"do": "shrink", "rows": 2, **page, "listId": 901}, {"do": "drop", **page, "listId": 902},
        ])
        ferry.until_gate("mapping")
        unmet = [fault for fault in account.control()["faults"] if fault["times"]]
        assert not unmet, f"the extraction did not meet {unmet}"
        ferry.complete()
        deltas = [run["status"]["delta"] for run in ferry.get("phaseruns")["items"] if run["status"].get("delta")]
        assert sum(d["gone"] for d in deltas) == 1 and sum(d["changed"] for d in deltas) >= 2, f"what came after its page was read is met by the rounds: {deltas}"
        ferry.verify(folder=account.written(keep=[early]))


@contextlib.contextmanager
def _begun(stage, size, *switches, **pipz):
    """A Migration of the account; at the end its books balance and nothing that was said has the keys."""
    stage.clean_odoo()
    ferry = stage.ferry(size=size, whole=True)
    with _Account(bed.exports(*size)[0], *switches) as account:
        ferry.claim()
        ferry.secret()
        ferry.secret(KEY, name="pipz", apiSecret=SECRET)
        pipz = {"url": account.url, "insecure": True, "callsPerMinute": 60_000, "secretRef": {"name": "pipz"}, **pipz}
        ferry.apply(ferry.mapping(), ferry.manifest(source={"account": "acme", "files": {"path": "exports/"}, "pipz": pipz}))
        ferry.crmferry("push", account.files, "migration/acme")
        yield ferry, account
        unbalanced = [name for name, book in ferry.books().items() if not book["balanced"] and not book["held"]]      # who is held is not settled, and told so
        assert not unbalanced, f"unbalanced: {unbalanced}"
        _the_keys_are_nowhere(ferry)


def _the_keys_are_nowhere(ferry):
    told = dict(ferry.told())
    assert "level" in "".join(text for file, text in told.items() if file.endswith(".log")), f"nothing was logged: {list(told)}"
    words = [form for key in (KEY, SECRET, f"{KEY}:{SECRET}") for form in (key, base64.b64encode(key.encode()).decode())]
    found = [file for file, text in told.items() if any(word in text for word in words)]
    assert not found, f"a key of the source is in {found}"


class _Account:
    """A Pipz that has the rows of an export folder, and the folder of what its API lacks."""

    def __init__(self, exports, *switches):
        self.folder = tempfile.mkdtemp(dir=bed.OUT)
        self.files = os.path.join(self.folder, "files")
        shutil.copytree(exports, self.files, ignore=lambda _, names: [name for name in names if name.split(".")[0] in OFFERED])
        simulator = ["python3", "-B", os.path.join(bed.BED, "pipz.py"), "--from", exports, "--host", bed.BRIDGE, "--key", KEY, "--secret", SECRET, "--list", "yes", *switches]
        self.process = subprocess.Popen(simulator, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder)

    def control(self, **order):
        with urllib.request.urlopen(f"{self.url}/_control", json.dumps(order).encode(), timeout=30) as answer:
            return json.load(answer)

    def written(self, keep=()):
        """The account as it is, as exports; those that are kept in Odoo though the account has them no more among it."""
        folder = tempfile.mkdtemp(dir=self.folder)
        self.control(export=folder, keep={"contact": list(keep)})
        return folder

    def rows(self, name):
        """The rows of one object as they are."""
        return read_rows(self.written(), name)
