"""One Migration in a namespace of its own, driven as people drive it: with kubectl, `kubectl crmferry` and helm."""

import json
import os
import re
import shutil
import signal
import threading
import time

import bed
from bed import BED, OUT, kubectl, run

SHARED = "crmferry-e2e"                        # the namespace of the release that brings CRDs, policies and roles for people
SAMPLE = os.path.join(bed.REPO, "deploy", "samples", "pipz-to-odoo")
APPROVERS = {"mapping": "mara.mapping", "cutover": "caio.cutover"}
AUTHOR = "ana.author"
SIZE, TENTH = (2000, 10000, 5000), (200, 1000, 500)
# what comes after the deals: a third of the Jobs, which a scenario that is about the life of a run does without
AFTER = ["eventKinds", "events", "lists", "listsInWriting", "listContacts", "listContactsInWriting", "campaigns", "campaignsInWriting", "membersWithout", "stageTriggers", "segments", "automations"]
AFTER_FILES = ["event", "list", "list_member", "campaign", "segment", "automation"]
OBJECTS = {"users": ["users"], "teams": ["teams"], "stages": ["stages", "wonStages"], "companies": ["companies"], "contacts": ["contacts"], "deals": ["deals"],
           "opt outs": ["optOuts"], "event kinds": ["eventKinds"], "events": ["events"], "lists": ["lists"], "list contacts": ["listContacts"], "campaigns": ["campaigns"]}


class Stalled(AssertionError):
    """The Migration waits for something that nobody will do."""


def shared_release():
    """Installs what exists once in a cluster, whoever owned it before."""
    namespace(SHARED)
    bed.helm("upgrade", "--install", "crmferry", "charts/crmferry", "-n", SHARED, "--take-ownership", "--wait", "--timeout", "120s", *image("e2e"))


def image(tag):
    return ["--set", f"image.repository={bed.IMAGE}", "--set", f"image.tag={tag}", "--set", "image.pullPolicy=Never"]


def namespace(name):
    if kubectl("get", "namespace", name, check=False).returncode:
        kubectl("create", "namespace", name)
        kubectl("label", "namespace", name, "crmferry-e2e=true", "pod-security.kubernetes.io/enforce=restricted")
    until(lambda: not kubectl("-n", name, "get", "serviceaccount", "default", check=False).returncode, 60, "the default ServiceAccount")


def until(question, seconds, what, every=0.5):
    """The first true answer; asks at least once."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(every)


class Ferry:
    """Namespace, release, claim, Secret, people and a Migration named `acme`."""

    def __init__(self, wire, odoo, name, namespace_name=None, size=TENTH, whole=False, claim_mode="ReadWriteOncePod", values=(), install=True, tag="e2e"):
        self.wire, self.odoo, self.name, self.size, self.whole = wire, odoo, name, size, whole
        self.namespace = namespace_name or f"{SHARED}-{name}"
        self.claim_mode = claim_mode
        self.people = {who: bed.person(who) for who in (AUTHOR, *APPROVERS.values())}
        namespace(self.namespace)
        if install:
            own = ["--set", "crds.enabled=false", "--set", "policies.enabled=false", "--set", "clusterRoles.enabled=false"]
            bed.helm("upgrade", "--install", "crmferry", "charts/crmferry", "-n", self.namespace, "--wait", "--timeout", "120s", *image(tag), *own, *values)
        for who, role in ((AUTHOR, "edit"), *((p, f"crmferry-approver-{g}") for g, p in APPROVERS.items())):
            kubectl("-n", self.namespace, "create", "rolebinding", who, f"--clusterrole={role}", f"--user={who}")

    # ---- what is declared ------------------------------------------------------------------------------------------------
    def claim(self):
        self.volume = run(os.path.join(BED, "volume.sh"), self.namespace, "ferry", self.claim_mode).stdout.strip()

    def secret(self, key=None, entry="apiKey", name="odoo", **more):
        text = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {entry: key or self.odoo.key, **more}})
        kubectl("-n", self.namespace, "apply", "-f", "-", text=text)

    def mapping(self, name="pipz-to-odoo"):
        with open(os.path.join(SAMPLE, "mapping.yaml"), encoding="utf-8") as file:
            text = file.read().replace("name: pipz-to-odoo\nspec", f"name: {name}\nspec")
        return text if self.whole else text + "".join(f"    - {{name: {after}, remove: true}}\n" for after in AFTER)

    def manifest(self, name="acme", account="acme", **spec):
        """The sample's Migration, pointed at the test's Odoo."""
        with open(os.path.join(SAMPLE, "migration.yaml"), encoding="utf-8") as file:
            text = file.read()
        done = kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", text=text)
        migration = json.loads(done.stdout)
        migration["metadata"] = {"name": name, "namespace": self.namespace}
        migration["spec"]["source"]["account"] = account
        migration["spec"]["destination"]["odoo"].update(url=self.wire.url, insecure=True, limits={"profile": "SelfHosted"})
        migration["spec"].update(spec)
        return migration

    def apply(self, *objects):
        for one in objects:
            kubectl("-n", self.namespace, "apply", "-f", "-", text=one if isinstance(one, str) else json.dumps(one), config=self.people[AUTHOR])

    def declare(self, **spec):
        """Everything a run needs but the exports."""
        self.claim()
        self.secret()
        self.apply(self.mapping(), self.manifest(**spec))
        return self

    def begin(self, changed=0, **spec):
        self.declare(**spec)
        self.push(changed=changed)
        return self

    # ---- what people do --------------------------------------------------------------------------------------------------
    def crmferry(self, *words, who=AUTHOR, check=True, timeout=600):
        return run("kubectl", "crmferry", "-n", self.namespace, *words, config=self.people.get(who, who), check=check, timeout=timeout)

    def push(self, name="acme", changed=0):
        folder, counts = bed.exports(*self.size, changed=changed, without=() if self.whole else AFTER_FILES)
        self.exports, self.changes = folder, counts
        self.crmferry("push", folder, f"migration/{name}")

    def approve(self, gate, name="acme", check=True):
        return self.crmferry("approve", gate, f"migration/{name}", "--yes", who=APPROVERS[gate], check=check)

    def verb(self, *words, name="acme"):
        self.crmferry(words[0], f"migration/{name}", *words[1:])

    def screen(self, name="acme"):
        return self.crmferry("status", f"migration/{name}", check=False).stdout

    # ---- what is seen ----------------------------------------------------------------------------------------------------
    def get(self, kind, name="", selector=""):
        return bed.reading().get(self.namespace, kind, name, selector)

    def status(self, name="acme"):
        return self.get("migrations", name).get("status", {})

    def gate(self, gate, name="acme"):
        return next((g for g in self.status(name).get("gates", []) if g["name"] == gate), {"state": "none"})

    def waits(self, name="acme"):
        return " ".join(f"{w['what']}: {w['message']}" for w in self.status(name).get("waitingFor", []))

    def condition(self, kind, name="acme"):
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), {"status": "Unknown", "reason": ""})

    def until_phase(self, *phases, name="acme", seconds=300, run_number=None):
        """Waits for a phase; a stall on the way there is the end of the wait."""
        def look():
            status = self.status(name)
            stalled = next((c for c in status.get("conditions", []) if c["type"] == "Stalled" and c["status"] == "True"), None)
            if stalled:
                raise Stalled(f"stalled in {status['phase']}: {stalled['reason']}: {stalled['message']}")
            return status["phase"] if status["phase"] in phases and run_number in (None, status.get("run")) else None
        return until(look, seconds, lambda: f"{'/'.join(phases)}; it is at {self.status(name)['phase']}, {self.waits(name)}")

    def until_gate(self, gate, state="Waiting", name="acme", seconds=480):
        def look():
            self.until_phase(*PHASES, name=name)
            return self.gate(gate, name)["state"] == state
        until(look, seconds, lambda: f"gate {gate} {state}; it is {self.gate(gate, name)}, at {self.status(name)['phase']}, {self.waits(name)}")

    def until_named(self, *words, name="acme", seconds=15, since=None):
        """`kubectl crmferry status` says all of the words, `seconds` after `since` at the latest."""
        seconds -= time.monotonic() - since if since else 0
        shown = [""]

        def look():
            shown[0] = self.screen(name)
            return all(word in shown[0] for word in words)
        until(look, seconds, lambda: f"{words} on the screen:\n{shown[0]}")

    def complete(self, name="acme", seconds=600, run_number=None, approvals=APPROVERS):
        """Approves what waits, as often as evidence is sealed, until the run has ended."""
        end = time.monotonic() + seconds
        while self.until_phase(*PHASES, name=name) != "Completed" or run_number not in (None, self.status(name).get("run")):
            for gate in self.status(name).get("gates", []):
                if gate["state"] == "Waiting" and gate["name"] in approvals:
                    self.approve(gate["name"], name, check=False)      # it may have become stale meanwhile: then it is asked again
            if time.monotonic() > end:
                raise AssertionError(f"not complete within {seconds} s: {self.status(name)['phase']}, {self.waits(name)}")
            time.sleep(1)
        return self.status(name)

    def books(self, name="acme"):
        return {o["name"]: o["book"] for o in self.status(name)["objects"]}

    def verify(self, *words, name="acme", folder=None):
        """The script that shares no code with the project; then its rejects are held against the books."""
        odoo = self.odoo
        done = run("python3", os.path.join(BED, "verify.py"), folder or self.exports, "--url", odoo.url, "--db", odoo.database, "--key", odoo.key, *words, check=False)
        if done.returncode:
            raise AssertionError(f"verify.py:\n{done.stdout}{done.stderr}")
        table = {}
        for line in done.stdout.splitlines()[1:]:
            found = re.fullmatch(r"(\S.*?)\s{2,}(\d*)\s+(\d+)(?:\s+\d+){8}", line)
            if found:
                table[found[1]] = int(found[3])
        books = self.books(name)
        for label, objects in OBJECTS.items():
            if not books.keys() & set(objects):                             # nothing was to be done about them
                continue
            rejected = sum(books[o]["rejected"] + books[o].get("held", 0) for o in objects)
            if rejected != table[label]:
                raise AssertionError(f"{label}: the book says {rejected} rejected, verify.py {table[label]}\n{done.stdout}")
        return done.stdout

    def verify_rows(self, *words, name="acme", folder=None):
        """The same with the documents: each of the paper's twelve rows has arrived, and is not empty."""
        results = os.path.join(OUT, "results", self.name)
        shutil.rmtree(results, ignore_errors=True)
        self.crmferry("results", f"migration/{name}", "-o", results)
        told = self.verify("--results", results, *words, name=name, folder=folder)
        rows = dict(re.findall(r"^(\S.*?) +ok +(\d+)$", told, re.M))
        assert len(rows) == 12 and "0" not in rows.values(), f"not twelve rows that have arrived:\n{told}"

    def sent(self, name="acme"):
        """What the last run created and updated, by object."""
        return {n: (b["created"], b["updated"]) for n, b in self.books(name).items() if b["created"] or b["updated"]}

    # ---- pods ------------------------------------------------------------------------------------------------------------
    def pods(self, selector):
        return self.get("pods", selector=selector)["items"]

    def workers(self, name="acme"):
        """Pods of the Migration that run."""
        return [p for p in self.pods(f"crmferry.io/migration={name}") if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]

    def operators(self):
        return self.pods("app.kubernetes.io/component=operator,app.kubernetes.io/instance=crmferry")

    def remove(self, pod):
        """Gone at once, as when a node dies; the process gets SIGKILL."""
        kubectl("-n", self.namespace, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false", check=False)

    def send(self, pod, what):
        """A signal to the process of a pod, from the host. False where it has ended already."""
        ident = next((c.get("containerID", "") for c in pod["status"].get("containerStatuses", [])), "").removeprefix("containerd://")
        tasks = run("ctr", "-a", os.path.join(bed.STATE, "kube", "run", "containerd.sock"), "-n", "k8s.io", "task", "ls").stdout
        pid = next((int(line.split()[1]) for line in tasks.splitlines() if ident and line.startswith(ident)), None)
        try:
            if pid:
                os.kill(pid, what)
            return bool(pid)
        except ProcessLookupError:
            return False

    def kill(self, pod):
        return self.send(pod, signal.SIGKILL)

    # ---- the end ---------------------------------------------------------------------------------------------------------
    def told(self):
        """All that the namespace says, by file: objects, logs, the screen."""
        things = {"migrations.yaml": ["get", "migrations,mappingspecs", "-o", "yaml"], "phaseruns.yaml": ["get", "phaseruns", "-o", "yaml"], "phaseruns.txt": ["get", "phaseruns"],
                  "pods.yaml": ["get", "pods,jobs,pvc", "-o", "yaml"], "events.txt": ["get", "events", "--sort-by=.metadata.creationTimestamp"], "evidence.yaml": ["get", "configmaps", "-o", "yaml"]}
        for pod in self.get("pods")["items"]:
            name = pod["metadata"]["name"]
            things[f"{name}.log"] = ["logs", name, "--all-containers"]
            if any(c.get("restartCount") for c in pod["status"].get("containerStatuses", [])):
                things[f"{name}.previous.log"] = ["logs", name, "--previous"]
        for migration in self.get("migrations")["items"]:
            name = migration["metadata"]["name"]
            things[f"status-{name}.txt"] = ["crmferry", "status", f"migration/{name}"]
        for file, words in things.items():
            done = kubectl("-n", self.namespace, *words, check=False)
            yield file, done.stdout + done.stderr

    def collect(self):
        """What somebody needs who was not there."""
        folder = os.path.join(OUT, "failed", self.name)
        os.makedirs(folder, exist_ok=True)
        for file, text in self.told():
            with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                out.write(text)
        return folder

    def leave(self):
        kubectl("delete", "namespace", self.namespace, "--wait=false", check=False)
        run(os.path.join(BED, "volume.sh"), "--delete", self.namespace, "ferry", check=False)


PHASES = ("Pending", "Validating", "Discovering", "Extracting", "Rehearsing", "AwaitingMapping", "PreparingSchema", "Loading", "Synchronising", "CuttingOver", "Completed", "Cancelled")


class Beside:
    """Something that goes on beside the scenario; what goes wrong in it is told at the end."""

    def __init__(self, work):
        self.problem = None

        def guarded():
            try:
                work()
            except BaseException as problem:              # told again by join
                self.problem = problem
        self.thread = threading.Thread(target=guarded, daemon=True)
        self.thread.start()

    def join(self, seconds):
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError(f"still at it after {seconds} s")
        if self.problem:
            raise self.problem
