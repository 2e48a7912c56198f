"""The real parts as the scenarios use them: programs, the cluster, an Odoo of their own, people."""

import contextlib
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

from wire import Drop, Wire  # noqa: F401

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BED = os.path.join(REPO, "tests", "testbed")
OUT = os.path.join(REPO, "target", "e2e")
BINARY = os.path.join(REPO, "target", "release", "crmferry")
STATE = os.environ.get("CRMFERRY_TESTBED", "/var/tmp/crmferry-testbed")
BRIDGE = os.environ.get("CRMFERRY_TESTBED_RELAY", "10.244.0.1")
ODOO_ROOT = os.path.join(STATE, "odoo-e2e")
ODOO_PORT = int(os.environ.get("CRMFERRY_E2E_ODOO_PORT", "8070"))
IMAGE = "localhost/crmferry"
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
    """JSON-2, on the host's side of the wire."""

    def __init__(self, key=None):
        self.url, self.database = f"http://127.0.0.1:{ODOO_PORT}", "crm"
        with open(os.path.join(ODOO_ROOT, "run", "apikey"), encoding="utf-8") as file:
            self.key = key or file.read().strip()

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


def odoo_script(name):
    return run(os.path.join(BED, "odoo", name), env={"ROOT": ODOO_ROOT, "HTTP": str(ODOO_PORT)}).stdout


def restart_odoo():
    """Ends the server as a crash does, and starts it again."""
    with open(os.path.join(ODOO_ROOT, "run", "odoo.pid"), encoding="utf-8") as file:
        os.kill(int(file.read()), 9)
    odoo_script("up.sh")


def clean_odoo():
    """The database as it was, with the accounts of those who own records in the exports."""
    odoo_script("reset.sh")
    odoo = Odoo()
    run(os.path.join(BED, "odoo", "users.py"), "--url", odoo.url, "--db", odoo.database, "--key", odoo.key, *OWNERS)
    return odoo


def person(name):
    return run(os.path.join(BED, "user.sh"), name).stdout.strip()


def exports(companies, contacts, deals, changed=0, seed=7):
    """The folder of an export, made if it is not there, and how many rows `changed` percent are."""
    folder = os.path.join(OUT, "exports", f"{companies}-{contacts}-{deals}-{seed}-{changed}")
    count = run("python3", os.path.join(BED, "scale.py"), "--companies", str(companies), "--contacts", str(contacts), "--deals", str(deals),
                "--seed", str(seed), "--changed", str(changed), "--out", folder).stdout
    return folder, json.loads(count)


def prepare():
    """Image, plugin, an Odoo, and what exists once in a cluster. Returns the wire."""
    shutil.rmtree(os.path.join(OUT, "failed"), ignore_errors=True)
    programs = os.path.join(OUT, "bin")
    os.makedirs(programs, exist_ok=True)
    for name in "crmferry", "kubectl-crmferry":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(programs, name))
        os.symlink(BINARY, os.path.join(programs, name))
    os.environ["PATH"] = os.pathsep.join([programs, os.path.join(STATE, "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])
    run(os.path.join(BED, "image.sh"), BINARY, "e2e")
    odoo_script("up.sh")
    old = kubectl("get", "namespaces", "-l", "crmferry-e2e", "-o", "name").stdout.split()
    if old:
        kubectl("delete", *old, "--timeout=120s")
    return Wire(BRIDGE, ODOO_PORT)
