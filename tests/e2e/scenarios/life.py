"""Suspended, cancelled, drifted, lost, and two at once."""

import json
import os
import time

import bed
from bed import BED, kubectl, run
from ferry import APPROVERS, until

from . import scenario

WITH_A_JOB = ["Discovering", "Extracting", "Rehearsing", "PreparingSchema", "Loading", "Synchronising", "CuttingOver"]


@scenario
def two_ferries_to_one_odoo_take_turns(stage):
    odoo = stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    run(os.path.join(BED, "volume.sh"), ferry.namespace, "ferry2")
    second = ferry.manifest(name="beta")
    second["spec"]["workspace"]["persistentVolumeClaim"]["claimName"] = "ferry2"
    ferry.apply(second)
    ferry.push(name="beta")
    try:
        for name in "acme", "beta":
            ferry.until_gate("mapping", name=name)
        for name in "acme", "beta":
            ferry.approve("mapping", name)
        names = {"acme": f"{ferry.namespace}/beta", "beta": f"{ferry.namespace}/acme"}
        until(lambda: any("DestinationLock" in ferry.waits(n) and other in ferry.waits(n) for n, other in names.items()), 120,
              lambda: f"neither waits for the other: {[ferry.waits(n) for n in names]}", every=0.2)
        for name in names:
            ferry.complete(name, seconds=600)
            ferry.verify(name=name)
        assert odoo.count("ir.config_parameter", ["key", "=", "crmferry.lock"]) == 0, "the lock was not given back"
    finally:
        run(os.path.join(BED, "volume.sh"), "--delete", ferry.namespace, "ferry2", check=False)


@scenario
def a_lost_volume_is_named_and_made_good(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    contacts = stage.wire.next_call("res.partner", "create")
    ferry.approve("mapping")
    assert contacts.wait(120), "no company is created"
    ferry.verb("pause")
    _no_worker(ferry)
    run(os.path.join(BED, "volume.sh"), "--delete", ferry.namespace, "ferry")
    ferry.claim()
    ferry.verb("resume")
    until(lambda: ferry.condition("Stalled")["reason"] == "WorkspaceLost", 60, lambda: f"WorkspaceLost: {ferry.waits()}")
    ferry.until_named("WorkspaceLost", "kubectl crmferry retry migration/acme from-extract")
    ferry.push()
    ferry.verb("retry", "from-extract")
    ferry.complete()
    ferry.verify()


def _no_worker(ferry):
    """None that still writes, be it that it was told to end."""
    until(lambda: not [p for p in ferry.pods("crmferry.io/migration=acme") if p["status"].get("phase") == "Running"], 60, "the worker does not end")


@scenario
def a_mapping_edited_in_the_middle_of_a_run_changes_nothing(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    before = ferry.gate("mapping")["evidenceDigest"], ferry.status()["plan"]
    ferry.apply(ferry.mapping().replace("x_pipz_cnpj", "x_pipz_other"))
    until(lambda: ferry.condition("MappingDrifted")["status"] == "True", 30, "MappingDrifted")
    ferry.complete()
    assert (ferry.gate("mapping")["evidenceDigest"], ferry.status()["plan"]) == before, "the edit moved evidence or plan"
    ferry.verify()


@scenario
def suspended_and_resumed_in_every_phase_that_has_a_job(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.declare()
    left = list(WITH_A_JOB)
    ferry.push()
    end = time.monotonic() + 420
    while left:
        assert time.monotonic() < end, f"not suspended in {left}"
        status = ferry.status()
        if status["phase"] in left:
            _suspended(ferry, status["phase"], left)
        elif status["phase"] == "Completed":
            ferry.verb("rerun")                                             # a phase was over before we came: the next run has it too
        for gate in status.get("gates", []):
            if gate["state"] == "Waiting":
                ferry.approve(gate["name"], check=False)
    ferry.complete()
    ferry.verify()


def _suspended(ferry, phase, left):
    kubectl("-n", ferry.namespace, "patch", "migration", "acme", "--type=merge", "-p", json.dumps({"spec": {"suspend": True}}))
    until(lambda: ferry.condition("Ready")["reason"] == "Suspended", 30, lambda: f"Suspended: {ferry.condition('Ready')}")
    _no_worker(ferry)
    at = ferry.status()["phase"]
    time.sleep(1)
    assert ferry.status()["phase"] == at and not ferry.workers(), "it went on while suspended"
    if at in left:
        left.remove(at)
    ferry.verb("resume")
    until(lambda: ferry.condition("Ready")["reason"] != "Suspended", 30, "resumed")


@scenario
def cancelled_and_rerun_it_ends_the_same(stage):
    odoo = stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    creates = stage.wire.next_call("res.partner", "create")
    ferry.approve("mapping")
    assert creates.wait(120), "no company is created"
    ferry.verb("cancel", "--yes")
    ferry.until_phase("Cancelled", seconds=90)
    assert odoo.count("ir.config_parameter", ["key", "=", "crmferry.lock"]) == 0, "the lock was not given back"
    assert odoo.count("ir.model.data", ["module", "=like", "crmferry%"]) > 0, "what was loaded is gone"
    ferry.verb("rerun")
    ferry.complete(run_number=2)
    ferry.verify()
    assert set(APPROVERS) == {g["name"] for g in ferry.status()["gates"] if g["state"] == "Passed"}
