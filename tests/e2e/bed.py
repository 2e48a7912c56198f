"""The real parts as the scenarios use them: programs, the cluster, an Odoo of their own, people."""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

from sink import Sink

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BED = os.path.join(REPO, "tests", "testbed")
OUT = os.path.join(REPO, "target", "e2e")
BINARY = os.path.join(REPO, "target", "release", "crmferry")      # of the image, too
STATE = os.environ.get("CRMFERRY_TESTBED", "/var/tmp/crmferry-testbed")
BRIDGE = os.environ.get("CRMFERRY_TESTBED_RELAY", "10.244.0.1")
ODOO_PORT = int(os.environ.get("CRMFERRY_E2E_ODOO_PORT", "8170"))
IMAGE = "localhost/crmferry"
MADE_ONCE, COUNTS = threading.Lock(), {}
OWNERS = ["amelia.prado@vendas.example", "otto.brandao@vendas.example", "zuleica.neri@vendas.example"]       # who left is for Crmferry to make, archived
QUEUES = ["mail.ir_cron_post_scheduled_message", "mail.ir_cron_send_scheduled_message", "mass_mailing.ir_cron_mass_mailing_queue", "mail.ir_cron_mail_scheduler_action"]


def run(*command, text=None, config=None, check=True, timeout=600, env=None):
    """Runs a program; with `config` as the person whose kubeconfig it is."""
    surroundings = dict(os.environ, **(env or {}), **({"KUBECONFIG": config} if config else {}))
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=surroundings, cwd=REPO, timeout=timeout)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command[:9]))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done


def kubectl(*words, **more):
    return run("kubectl", *words, **more)


def helm(*words):
    return run("helm", *words)


class Reading:
    """Objects of the cluster as they are, over one `kubectl proxy`: scenarios look twice a second, and a kubectl for each look takes
    half of a small machine."""

    PLACES = {"migrations": "apis/crmferry.io/v1alpha1", "phaseruns": "apis/crmferry.io/v1alpha1", "jobs": "apis/batch/v1", "pods": "api/v1", "events": "api/v1", "resourcequotas": "api/v1"}

    def __init__(self):
        self.process = subprocess.Popen(["kubectl", "proxy", "--port=0", "--reject-methods=POST,PUT,PATCH,DELETE"], stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        self.url = "http://" + self.process.stdout.readline().split()[-1]

    def get(self, namespace, kind, name="", selector=""):
        url = f"{self.url}/{self.PLACES[kind]}/namespaces/{namespace}/{kind}/{name}".rstrip("/")
        try:
            with urllib.request.urlopen(url + "?" + urllib.parse.urlencode({"labelSelector": selector} if selector else {}), timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{kind} {name} of {namespace}: {error.code}: {error.read()[:600].decode(errors='replace')}") from error


@functools.cache
def reading():
    return Reading()


class Odoo:
    """One server of the scenarios' own: JSON-2 on the host's side of the wire, and its switch."""

    database, login = "crm", "admin"

    def __init__(self, lane):
        self.root, self.port = os.path.join(STATE, f"odoo-e2e{lane}"), ODOO_PORT + lane
        self.url = f"http://127.0.0.1:{self.port}"
        self.sink = Sink()

    @property
    def key(self):
        with open(os.path.join(self.root, "run", "apikey"), encoding="utf-8") as file:
            return file.read().strip()

    def call(self, model, method, **arguments):
        headers = {"Authorization": "bearer " + self.key, "Content-Type": "application/json", "X-Odoo-Database": self.database}
        request = urllib.request.Request(f"{self.url}/json/2/{model}/{method}", json.dumps(arguments).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{model}.{method}: {error.code}: {error.read()[:600].decode(errors='replace')}") from error

    def count(self, model, *domain):
        return self.call(model, "search_count", domain=list(domain), context={"active_test": False})

    def untouched(self):
        """Nothing of ours is in it: no external id, no custom field."""
        return self.count("ir.model.data", ["module", "=like", "crmferry%"]) == 0 == self.count("ir.model.fields", ["name", "=like", "x_pipz%"])

    def script(self, name):
        run(os.path.join(BED, "odoo", name), env={"ROOT": self.root, "HTTP": str(self.port)})

    def up(self):
        self.script("up.sh")

    def restart(self):
        """Ends the server as a crash does, and starts it again."""
        with open(os.path.join(self.root, "run", "odoo.pid"), encoding="utf-8") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.up()

    def clean(self):
        """The database as it was, with a way for mail to leave it, and the accounts of those who own records in the exports."""
        self.script("reset.sh")
        self.people(*OWNERS)
        self.mail_leaves()

    def people(self, *emails):
        run(os.path.join(BED, "odoo", "users.py"), "--url", self.url, "--db", self.database, "--key", self.key, *emails)

    # ---- mail ------------------------------------------------------------------------------------------------------------
    def mail_leaves(self):
        """It goes to the sink, which has seen one that waited in the queue, and one that tells a user what was written to them."""
        self.call("ir.mail_server", "create", vals_list=[{"name": "sink", "smtp_host": "127.0.0.1", "smtp_port": self.sink.port, "smtp_encryption": "none"}])
        me = self.call("res.users", "search_read", domain=[["login", "=", self.login]], fields=["partner_id"])[0]["partner_id"][0]
        self.call("res.partner", "write", ids=[me], vals={"email": "odoo@acme.example"}, context={"tracking_disable": True})    # without a sender, Odoo would send nothing
        user = self.call("res.users", "search_read", domain=[["login", "=", OWNERS[0]]], fields=["partner_id"])[0]["partner_id"][0]
        self.sink.mails.clear()
        self.call("mail.mail", "create", vals_list=[{"subject": "queue", "body_html": "<p>control</p>", "email_from": "odoo@acme.example", "email_to": "someone@acme.example", "auto_delete": True}])
        told = self.call("res.partner", "message_post", ids=[user], subject="told", body="control", partner_ids=[user], context={"mail_post_autofollow_author_skip": True})
        self.flush()
        seen = sorted(subject for _, subject in self.sink.mails)
        assert seen == ["queue", "told"], f"the sink is no proof, it has {self.sink.mails}"
        self.call("mail.message", "unlink", ids=told if isinstance(told, list) else [told])
        left = [self.count("mail.mail"), self.count("mail.notification"), self.count("mail.followers", ["res_model", "=", "res.partner"])]
        assert left == [0, 0, 0], f"the control left something: {left}"
        self.sink.mails.clear()

    def flush(self):
        """All that waits to be sent is sent."""
        for name in QUEUES:
            module, tail = name.split(".")
            found = self.call("ir.model.data", "search_read", domain=[["module", "=", module], ["name", "=", tail]], fields=["res_id"])
            self.call("ir.cron", "method_direct_trigger", ids=[found[0]["res_id"]])

    def no_mail(self):
        self.flush()
        assert not self.sink.mails, f"mail left Odoo: {self.sink.mails}"


def person(name):
    with MADE_ONCE:
        return run(os.path.join(BED, "user.sh"), name).stdout.strip()


def exports(companies, contacts, deals, changed=0, seed=7, without=()):
    """The folder of an export, made if it is not there, and how many rows `changed` percent are; `without` some of its files."""
    folder = os.path.join(OUT, "exports", f"{companies}-{contacts}-{deals}-{seed}-{changed}")
    with MADE_ONCE:
        if folder not in COUNTS:
            COUNTS[folder] = json.loads(run("python3", os.path.join(BED, "scale.py"), "--companies", str(companies), "--contacts", str(contacts), "--deals", str(deals),
                                            "--seed", str(seed), "--changed", str(changed), "--out", folder).stdout)
        part = f"{folder}-part"
        if without and not os.path.exists(part):
            shutil.copytree(folder, part, ignore=lambda _, names: [name for name in names if name.split(".")[0] in without])
    return part if without else folder, COUNTS[folder]


def prepare():
    """Programs, the image in the cluster, and nothing left of an earlier time."""
    shutil.rmtree(os.path.join(OUT, "failed"), ignore_errors=True)
    programs = os.path.join(OUT, "bin")
    os.makedirs(programs, exist_ok=True)
    for name in "crmferry", "kubectl-crmferry":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(programs, name))
        os.symlink(BINARY, os.path.join(programs, name))
    os.environ["PATH"] = os.pathsep.join([programs, os.path.join(STATE, "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])
    run(os.path.join(BED, "image.sh"), BINARY, "e2e")
    reading()
    old = kubectl("get", "namespaces", "-l", "crmferry-e2e", "-o", "name").stdout.split()
    if old:
        kubectl("delete", *old, "--timeout=120s")
    for claim in json.loads(kubectl("get", "pv", "-o", "json").stdout)["items"]:
        named = claim["spec"].get("claimRef", {})
        if named.get("namespace", "").startswith("crmferry-e2e"):
            run(os.path.join(BED, "volume.sh"), "--delete", named["namespace"], named["name"])
