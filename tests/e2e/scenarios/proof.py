"""The books and the read-back: whoever tampers with Odoo is found out before the cutover."""

import json

from ferry import until

from . import scenario


@scenario
def a_field_changed_between_load_and_read_back_stops_the_proof(stage):
    _tampered(stage, lambda odoo, ids: odoo.call("res.partner", "write", ids=ids[:1], vals={"function": "Somebody else"}), "mismatched")


@scenario
def a_record_taken_out_between_load_and_read_back_stops_the_proof(stage):
    _tampered(stage, lambda odoo, ids: odoo.call("res.partner", "unlink", ids=ids[-1:]), "missingInDestination")


@scenario
def a_twin_that_somebody_made_stops_the_proof(stage):
    _tampered(stage, lambda odoo, ids: odoo.call("res.partner", "create", vals_list=[{"name": "Nobody's contact"}]), "orphans")


def _tampered(stage, tamper, count):
    """Contacts are changed as soon as Odoo has made them, before the worker hears of it."""
    odoo = stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    done = []

    def after(call):
        if str(call) == "res.partner.create" and not done and b'"function"' in call.body and b"contacts_" in call.body:
            done.append(True)
            newest = odoo.call("res.partner", "search", domain=[["function", "!=", False]], order="id desc", limit=5)
            tamper(odoo, newest)
    stage.wire.after = after
    ferry.approve("mapping")
    until(lambda: ferry.condition("Stalled")["status"] == "True", 180, lambda: f"the proof fails; it is at {ferry.status()['phase']}, {ferry.waits()}")
    status = ferry.status()
    assert done, "nothing was tampered with"
    contacts = next(o for o in status["objects"] if o["name"] == "contacts")
    assert status["phase"] == "Loading" and contacts["state"] != "Verified", f"{status['phase']}: {json.dumps(contacts)}"
    assert contacts["verification"][count] == 1, f"{count}: {json.dumps(contacts['verification'])}"
    assert ferry.condition("Reconciled")["status"] == "False"
    ferry.until_named("contacts", "retry")


@scenario
def a_field_changed_while_the_cutover_waits_keeps_it_from_switching(stage):
    odoo = stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    ferry.approve("mapping")
    ferry.until_gate("cutover")
    deal = odoo.call("crm.lead", "search_read", domain=[["expected_revenue", ">", 0]], fields=["expected_revenue"], limit=1)[0]
    odoo.call("crm.lead", "write", ids=[deal["id"]], vals={"expected_revenue": deal["expected_revenue"] + 1})
    ferry.approve("cutover")
    until(lambda: ferry.condition("Stalled")["status"] == "True" or ferry.gate("cutover")["state"] == "Stale", 120,
          lambda: f"the cutover does not notice; it is at {ferry.status()['phase']}, {ferry.waits()}")
    assert ferry.condition("CutOver")["status"] != "True"
    ferry.until_named("deals")
    odoo.call("crm.lead", "write", ids=[deal["id"]], vals={"expected_revenue": deal["expected_revenue"]})
    ferry.verb("retry")
    ferry.complete()
    ferry.verify()
