"""The main job at its full size, from `helm install` to a changed export."""

import os

import bed
from bed import kubectl
from ferry import AUTHOR, SHARED, SIZE

from . import scenario


@scenario
def an_export_is_ferried_once_and_only_once(stage):
    odoo = stage.clean_odoo()
    ferry = stage.ferry(namespace_name=SHARED, install=False, size=SIZE, whole=True)
    ferry.begin()
    stage.wire.calm()
    ferry.until_gate("mapping", seconds=300)
    nothing_is_written_before_the_mapping_is_approved(stage, ferry, odoo)
    ferry.approve("mapping")
    ferry.until_gate("cutover", seconds=900)
    _nobody_cuts_over_unasked(ferry)
    ferry.approve("cutover")
    kubectl("-n", ferry.namespace, "wait", "--for=condition=Completed", "migration/acme", "--timeout=300s", config=ferry.people[AUTHOR])
    dates = os.path.join(bed.OUT, "dates.json")
    ferry.verify_rows("--write-dates", dates)
    the_same_again_changes_nothing(stage, ferry, dates)
    _a_changed_export_sends_what_changed(ferry)
    odoo.no_mail()


def nothing_is_written_before_the_mapping_is_approved(stage, ferry, odoo):
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


def the_same_again_changes_nothing(stage, ferry, dates, folder=None):
    stage.wire.calm()
    ferry.verb("rerun")
    ferry.complete(seconds=600, run_number=2)
    assert ferry.sent() == {}, f"sent again: {ferry.sent()}"
    ferry.verify("--same-dates", dates, folder=folder)


def _a_changed_export_sends_what_changed(ferry):
    ferry.push(changed=1)
    ferry.verb("rerun")
    ferry.complete(seconds=600, run_number=3)
    wanted = {"companies": (0, ferry.changes["company"]), "contacts": (0, ferry.changes["contact"]), "deals": (0, ferry.changes["deal"])}
    assert ferry.sent() == wanted, f"sent {ferry.sent()}, changed {wanted}"
    ferry.verify()
