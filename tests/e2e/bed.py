"""The real parts as the scenarios use them: programs, the cluster, an Odoo of their own, people."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BED = os.path.join(REPO, "tests", "testbed")
OUT = os.path.join(REPO, "target", "e2e")
BINARY = os.path.join(REPO, "target", "release", "crmferry")      # of the image, too
STATE = os.environ.get("CRMFERRY_TESTBED", "/var/tmp/crmferry-testbed")
BRIDGE = os.environ.get("CRMFERRY_TESTBED_RELAY", "10.244.0.1")
ODOO_PORT = int(os.environ.get("CRMFERRY_E2E_ODOO_PORT", "8170"))
IMAGE = "localhost/crmferry"
MADE_ONCE, COUNTS = threading.Lock(), {}
OWNERS = ["amelia.prado@vendas.example", "otto.brandao@vendas.example", "zuleica.neri@vendas.example", "eugenio.saraiva@vendas.example"]


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


class Odoo:
    """One server of the scenarios' own: JSON-2 on the host's side of the wire, and its switch."""

    database, login = "crm", "admin"

    def __init__(self, lane):
        self.root, self.port = os.path.join(STATE, f"odoo-e2e{lane}"), ODOO_PORT + lane
        self.url = f"http://127.0.0.1:{self.port}"

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
        """The database as it was, with the accounts of those who own records in the exports."""
        self.script("reset.sh")
        run(os.path.join(BED, "odoo", "users.py"), "--url", self.url, "--db", self.database, "--key", self.key, *OWNERS)


def person(name):
    with MADE_ONCE:
        return run(os.path.join(BED, "user.sh"), name).stdout.strip()


def exports(companies, contacts, deals, changed=0, seed=7):
    """The folder of an export, made if it is not there, and how many rows `changed` percent are."""
    folder = os.path.join(OUT, "exports", f"{companies}-{contacts}-{deals}-{seed}-{changed}")
    with MADE_ONCE:
        if folder not in COUNTS:
            COUNTS[folder] = json.loads(run("python3", os.path.join(BED, "scale.py"), "--companies", str(companies), "--contacts", str(contacts), "--deals", str(deals),
                                            "--seed", str(seed), "--changed", str(changed), "--out", folder).stdout)
    return folder, COUNTS[folder]


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
    old = kubectl("get", "namespaces", "-l", "crmferry-e2e", "-o", "name").stdout.split()
    if old:
        kubectl("delete", *old, "--timeout=120s")
    for claim in json.loads(kubectl("get", "pv", "-o", "json").stdout)["items"]:
        named = claim["spec"].get("claimRef", {})
        if named.get("namespace", "").startswith("crmferry-e2e"):
            run(os.path.join(BED, "volume.sh"), "--delete", named["namespace"], named["name"])
