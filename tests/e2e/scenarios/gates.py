"""Gates stay shut where nobody guards them, whenever the guard went. (What the policies refuse is tested in tests/testbed/chart_test.py.)"""

import json

from bed import kubectl
from ferry import APPROVERS, AUTHOR, until

from . import alone

POLICY, BINDING = "validatingadmissionpolicy/crmferry-approval", "validatingadmissionpolicybinding/crmferry-approval"


class _Without:
    """Takes things out of the cluster, and puts them back."""

    def __init__(self, *things):
        self.things = things

    def __enter__(self):
        self.kept = [json.loads(kubectl("get", thing, "-o", "json").stdout) for thing in self.things]
        kubectl("delete", *self.things)

    def __exit__(self, *problem):
        for one in self.kept:
            one["metadata"] = {k: v for k, v in one["metadata"].items() if k in ("name", "labels", "annotations")}
            one.pop("status", None)
            kubectl("create", "-f", "-", text=json.dumps(one))


def _forged(ferry, gate):
    """An approval in another's name by the author: what only the guard refuses."""
    digest = ferry.gate(gate)["evidenceDigest"]
    note = json.dumps({"metadata": {"annotations": {f"approval.crmferry.io/{gate}": f"{digest} by {APPROVERS[gate]}"}}})
    return kubectl("-n", ferry.namespace, "patch", "migration", "acme", "--type=merge", "-p", note, config=ferry.people[AUTHOR], check=False)


def _shut(ferry, gate, phase):
    until(lambda: ferry.gate(gate)["state"] == "Unguarded", 30, lambda: f"{gate} is {ferry.gate(gate)}, at {ferry.status()['phase']}")
    ferry.until_named("crmferry-approval", "kubectl get validatingadmissionpolicybinding")
    assert ferry.status()["phase"] == phase, f"{gate} opened unguarded: {ferry.status()['phase']}"


def _guarded_again(ferry, gate, digest, phase):
    """What was written unguarded is void for ever: new evidence is sealed, and asks for an approval of its own."""
    until(lambda: ferry.gate(gate)["state"] == "Waiting" and ferry.gate(gate)["evidenceDigest"] != digest, 60, lambda: f"new evidence for {gate}: {ferry.gate(gate)}")
    assert ferry.status()["phase"] == phase
    assert "in one's own name" in _forged(ferry, gate).stderr or "may not approve" in _forged(ferry, gate).stderr, "a forged approval was let in"


@alone
def a_gate_that_nobody_guards_stays_shut(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    for without in ([BINDING], [BINDING, POLICY]):                          # gone before the approval is written
        digest = ferry.gate("mapping")["evidenceDigest"]
        with _Without(*without):
            until(lambda: not _forged(ferry, "mapping").returncode, 30, "the guard still refuses", every=0.1)
            _shut(ferry, "mapping", "AwaitingMapping")
        _guarded_again(ferry, "mapping", digest, "AwaitingMapping")
    assert not stage.wire.written(), f"written through a shut gate: {stage.wire.written()}"
    for without in ([BINDING], [BINDING, POLICY]):                          # gone after it was written, and before it is carried out
        _suspend(ferry)
        ferry.approve("mapping")
        until(lambda: ferry.gate("mapping")["state"] == "Approved", 30, lambda: f"approved: {ferry.gate('mapping')}")
        with _Without(*without):
            until(lambda: not _refused(ferry), 30, "the guard still refuses", every=0.1)
            ferry.verb("resume")
            _shut(ferry, "mapping", "AwaitingMapping")
            _suspend(ferry)
        ferry.crmferry("revoke", "mapping", "migration/acme", who=APPROVERS["mapping"])      # given under guard, it would hold again
        ferry.verb("resume")
        ferry.until_gate("mapping", seconds=30)
    assert not stage.wire.written(), f"written through a shut gate: {stage.wire.written()}"
    ferry.approve("mapping")
    ferry.until_gate("cutover")
    digest = ferry.gate("cutover")["evidenceDigest"]
    with _Without(BINDING):
        until(lambda: not _forged(ferry, "cutover").returncode, 30, "the guard still refuses", every=0.1)
        _shut(ferry, "cutover", "Synchronising")
    _guarded_again(ferry, "cutover", digest, "Synchronising")
    assert ferry.condition("CutOver")["status"] != "True"
    ferry.complete()
    ferry.verify()


def _suspend(ferry):
    ferry.verb("pause")
    until(lambda: ferry.condition("Ready")["reason"] == "Suspended", 30, "suspended")


def _refused(ferry):
    """Whether the guard still answers: asked as the operator asks, with a dry run."""
    gate = ferry.gate("mapping")
    note = json.dumps({"metadata": {"annotations": {"approval.crmferry.io/mapping": f"{gate['evidenceDigest']} by nobody"}}})
    return kubectl("-n", ferry.namespace, "patch", "migration", "acme", "--type=merge", "--dry-run=server", "-p", note, check=False).returncode
