"""What is wrong with cluster or Odoo: `kubectl crmferry status` names the thing and what to do, within 15 s."""

import json
import os
import shutil
import time

import bed
from bed import kubectl
from ferry import until

from . import scenario

JSON = [("Content-Type", "application/json")]
# What Odoo answers, what must be on the screen besides the command that goes on, and whether a person has to mend it.
ANSWERS = {
    "401": ((401, JSON, b'{"name": "werkzeug.exceptions.Unauthorized", "message": "Invalid apikey"}'), ["refuses the API key (401)", "apiKey"]),
    "403": ((403, JSON, b'{"name": "odoo.exceptions.AccessError", "message": "You are not allowed to access this"}'), ["forbids", "(403)", "give the user the right"]),
    "404": ((404, JSON, b'{"name": "werkzeug.exceptions.NotFound", "message": "Not Found"}'), ["(404)", "check url and database"]),
    "500": ((500, [("Content-Type", "text/html")], b"<h1>Internal Server Error</h1>"), ["no usable answer: 500", "check the server"]),
    "HTML": ((200, [("Content-Type", "text/html")], b"<html><body>Welcome to the hotel's network</body></html>"), ["no usable answer", "text/html", "check the server"]),
    "half a reply": ((200, [("Content-Type", "application/json"), ("Content-Length", "4000")], b'{"id": 1, "na'), ["no usable answer", "check the server"]),
}


class _Answer:
    """Answers every call in Odoo's place, and knows when it did so first."""

    def __init__(self, answer):
        self.answer, self.first = answer, None

    def __call__(self, call):
        self.first = self.first or time.monotonic()
        return self.answer

    def given(self, seconds=60):
        return until(lambda: self.first, seconds, "a call to Odoo", every=0.1)


@scenario
def whatever_odoo_answers_the_status_names_it(stage):
    ferry = stage.ferry()
    for turn, (kind, (answer, words)) in enumerate(ANSWERS.items()):
        bad = stage.wire.before = _Answer(answer)
        if turn == 0:
            ferry.begin()
        else:
            _again(ferry)
        since = bad.given(120)
        try:
            ferry.until_named(*words, since=since)
        except AssertionError as problem:
            raise AssertionError(f"{kind}: {problem}") from problem
    _a_server_that_says_nothing_is_named(stage, ferry)
    stage.wire.calm()
    _again(ferry)
    ferry.until_gate("mapping", seconds=120)


def _again(ferry):
    """What stalled is tried again; an attempt at work (then the verb is refused) does so by itself."""
    ferry.crmferry("retry", "migration/acme", check=False)


def _a_server_that_says_nothing_is_named(stage, ferry):
    first = []

    def silent(call):
        first.append(time.monotonic())
        time.sleep(150)
    stage.wire.before = silent
    _again(ferry)
    until(lambda: first, 120, "a call to Odoo", every=0.1)
    ferry.until_named("no usable answer", "check the server", since=first[0])


@scenario
def an_odoo_that_is_gone_in_the_middle_is_named_and_waited_for(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    bad = _Answer((500, [("Content-Type", "text/html")], b"<h1>Bad Gateway</h1>"))
    creates = stage.wire.next_call("res.partner", "create")
    ferry.approve("mapping")
    assert creates.wait(120), "no contact is created"
    stage.wire.before = bad
    ferry.until_named("no usable answer: 500", "check the server", since=bad.given())
    stage.wire.before = lambda call: None
    ferry.complete()
    ferry.verify()


@scenario
def what_keeps_a_pod_from_starting_is_named(stage):
    ferry = stage.ferry()
    _an_image_that_nobody_has(ferry)
    _a_claim_that_is_missing(ferry)
    _a_quota_of_zero(ferry)


def _shows(ferry, selector, find):
    """When the cluster first shows it."""
    return until(lambda: find(ferry.get(selector)["items"]) and time.monotonic(), 60, f"{selector} shows nothing", every=0.2)


def _worker_image(ferry, image):
    container = {"name": "operator", "args": ["operator", f"--watch-namespaces={ferry.namespace}", f"--worker-image={image}", "--worker-settings=/etc/crmferry/worker.yaml"]}
    kubectl("-n", ferry.namespace, "patch", "deployment", "crmferry-operator", "-p", json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}}))
    kubectl("-n", ferry.namespace, "rollout", "status", "deployment/crmferry-operator", "--timeout=60s")


def _an_image_that_nobody_has(ferry):
    ferry.declare(suspend=True)
    ferry.push()
    _worker_image(ferry, "localhost/crmferry:nobody")
    ferry.verb("resume")
    since = _shows(ferry, "pods", lambda pods: any("waiting" in c["state"] and "Image" in c["state"]["waiting"]["reason"] for p in pods for c in p["status"].get("containerStatuses", [])))
    ferry.until_named("localhost/crmferry:nobody", "ErrImageNeverPull", "kubectl", since=since)
    _end(ferry)
    _worker_image(ferry, f"{bed.IMAGE}:e2e")


def _a_claim_that_is_missing(ferry):
    kubectl("-n", ferry.namespace, "delete", "pvc", "ferry")
    ferry.apply(ferry.manifest())
    since = _shows(ferry, "jobs", bool)
    ferry.until_named("ClaimMissing", "PersistentVolumeClaim ferry", "kubectl", since=since)
    _end(ferry)
    kubectl("delete", "pv", f"{ferry.namespace}-ferry")
    ferry.claim()


def _a_quota_of_zero(ferry):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl("-n", ferry.namespace, "apply", "-f", "-", text=json.dumps(quota))
    until(lambda: ferry.get("resourcequotas", "none").get("status", {}).get("hard"), 30, "the quota is not in force")
    ferry.apply(ferry.manifest())
    since = _shows(ferry, "events", lambda events: any(e["reason"] == "FailedCreate" for e in events))
    ferry.until_named("FailedCreate", "exceeded quota: none", "describe resourcequota", since=since)
    kubectl("-n", ferry.namespace, "delete", "resourcequota", "none")
    _end(ferry)


def _end(ferry):
    kubectl("-n", ferry.namespace, "delete", "migration", "acme", "--timeout=60s")
    until(lambda: not ferry.get("pods", selector="crmferry.io/migration=acme")["items"], 60, "pods of a deleted Migration are still there")


@scenario
def a_missing_key_and_a_closed_workspace_are_named(stage):
    ferry = stage.ferry()
    ferry.claim()
    ferry.secret(entry="password")
    ferry.apply(ferry.mapping(), ferry.manifest())
    ferry.push()
    since = until(lambda: _failure(ferry, "SecretMissing"), 60, "SecretMissing")
    ferry.until_named("SecretMissing", "odoo", "apiKey", "kubectl", since=since)
    ferry.secret()
    own = os.path.join(ferry.volume, ferry.namespace)
    try:
        for folder, _, _ in os.walk(own):
            shutil.chown(folder, "root", "root")
            os.chmod(folder, 0o555)
        ferry.verb("retry")
        since = until(lambda: _failure(ferry, "WorkspaceNotWritable"), 60, "WorkspaceNotWritable")
        ferry.until_named("WorkspaceNotWritable", "kubectl", since=since)
    finally:
        for folder, _, _ in os.walk(own):
            os.chown(folder, 65532, 65532)
            os.chmod(folder, 0o2770)
    ferry.verb("retry")
    ferry.until_gate("mapping", seconds=90)


def _failure(ferry, reason):
    found = any((p.get("status") or {}).get("failure", {}).get("reason") == reason for p in ferry.get("phaseruns")["items"])
    return time.monotonic() if found else None
