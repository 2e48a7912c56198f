"""The main job at its full size, from `helm install` to a changed export."""

import os

import bed
from bed import kubectl
from ferry import AUTHOR, SHARED, SIZE, until

from . import scenario


@scenario
def an_export_is_ferried_once_and_only_once(stage):
    odoo = stage.clean_odoo()
    ferry = stage.ferry(namespace_name=SHARED, install=False, size=SIZE)
    ferry.begin()
    stage.wire.calm()
    ferry.until_gate("mapping", seconds=300)
    _nothing_is_written_before_the_mapping_is_approved(stage, ferry, odoo)
    ferry.approve("mapping")
    ferry.until_gate("cutover", seconds=900)
    _nobody_cuts_over_unasked(ferry)
    ferry.approve("cutover")
    kubectl("-n", ferry.namespace, "wait", "--for=condition=Completed", "migration/acme", "--timeout=300s", config=ferry.people[AUTHOR])
    dates = os.path.join(bed.OUT, "dates.json")
    ferry.verify_rows("--write-dates", dates)
    _the_same_again_changes_nothing(stage, ferry, dates)
    _a_changed_export_sends_what_changed(ferry)
    odoo.no_mail()


@scenario
def the_whole_life_over_xml_rpc(stage):
    """On a server without JSON-2, which wants a login beside the key, and says so."""
    odoo = stage.clean_odoo()
    stage.wire.json2 = False
    ferry = stage.ferry()
    ferry.begin()
    until(lambda: "no JSON-2" in ferry.waits(), 120, lambda: f"the missing login is not named: {ferry.waits()}")
    ferry.until_named("SecretMissing", "needs the key login, since the server has no JSON-2", "kubectl")
    ferry.secret(login=odoo.login)
    ferry.verb("retry")
    ferry.until_gate("mapping")
    ferry.until_named("over XML-RPC: the server has no JSON-2 (404 text/html)")
    _nothing_is_written_before_the_mapping_is_approved(stage, ferry, odoo)
    ferry.complete(seconds=600)
    assert ("res.partner.create", "res.partner", True) in stage.wire.calls, f"nothing was created through the wire: {stage.wire.calls}"
    dates = os.path.join(bed.OUT, "dates-xml-rpc.json")
    ferry.verify_rows("--write-dates", dates)
    _the_same_again_changes_nothing(stage, ferry, dates)
    _a_changed_export_sends_what_changed(ferry)
    odoo.no_mail()


def _nothing_is_written_before_the_mapping_is_approved(stage, ferry, odoo):
    assert not stage.wire.written(), f"written before the mapping was approved: {stage.wire.written()}"
    assert odoo.untouched(), "external ids or custom fields before the mapping was approved"
    refused = ferry.crmferry("approve", "mapping", "migration/acme", "--yes", check=False)
    assert refused.returncode and "may not approve mapping" in refused.stderr, f"the author approved: {refused}"
    assert ferry.status()["phase"] == "AwaitingMapping"


def _nobody_cuts_over_unasked(ferry):
    status = ferry.status()
    assert status["phase"] == "Synchronising", status["phase"]
    assert "switched" not in status.get("cutover", {}), status["cutover"]
    assert ferry.condition("CutOver")["status"] != "True"


def _the_same_again_changes_nothing(stage, ferry, dates):
    stage.wire.calm()
    ferry.verb("rerun")
    ferry.complete(seconds=600, run_number=2)
    assert ferry.sent() == {}, f"sent again: {ferry.sent()}"
    ferry.verify("--same-dates", dates)


def _a_changed_export_sends_what_changed(ferry):
    ferry.push(changed=1)
    ferry.verb("rerun")
    ferry.complete(seconds=600, run_number=3)
    wanted = {"companies": (0, ferry.changes["company"]), "contacts": (0, ferry.changes["contact"]), "deals": (0, ferry.changes["deal"])}
    assert ferry.sent() == wanted, f"sent {ferry.sent()}, changed {wanted}"
    ferry.verify()
