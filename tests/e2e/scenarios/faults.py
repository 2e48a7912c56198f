"""Pods and servers that die at bad moments: the end state is always the same, counted by name."""

import random
import re
import signal
import threading
import time

from ferry import Beside, until
from wire import Drop

from . import scenario


def _to_the_end(ferry, seconds=600):
    ferry.complete(seconds=seconds)
    ferry.verify()


def _sooner_or_later(seed, times, kill, over):
    """Kills `times` times at moments that nobody chose."""
    chance, killed = random.Random(seed), 0
    while killed < times and not over():
        time.sleep(chance.uniform(0, 3))
        killed += bool(kill())
    return killed


def _killed(stage, times, kill, seed):
    stage.clean_odoo()
    ferry = stage.ferry(whole=True)
    ferry.begin()
    ferry.kills, count = {}, []
    over = threading.Event()
    killer = Beside(lambda: count.append(_sooner_or_later(seed, times, lambda: kill(ferry), over.is_set)))
    try:
        ferry.complete(seconds=600)
        while not count and ferry.status()["run"] < 6:                      # the rest of the kills meet another run
            following = ferry.status()["run"] + 1
            ferry.verb("rerun")
            ferry.complete(seconds=600, run_number=following)
    finally:
        over.set()
    killer.join(30)
    assert count == [times], f"killed {count} times, not {times}"
    ferry.verify()


def _kill_operator(ferry):
    running = [p for p in ferry.operators() if p["status"].get("phase") == "Running"]
    for pod in running:
        ferry.remove(pod)
    return running


def _kill_worker(ferry):
    """By SIGKILL in every other case, else as when the node dies. Five times at one step is where the operator gives up: two is ours."""
    for pod in ferry.workers():
        attempt = pod["metadata"]["name"].rpartition("-")[0]
        if ferry.get("phaseruns", attempt).get("status", {}).get("outcome"):
            return False                                                    # it has reported already: nothing to lose
        step = re.sub(r"a\d+$", "", attempt)
        turn = ferry.kills[step] = ferry.kills.get(step, 0) + 1
        if turn > 2:
            return False
        if turn == 1:
            return ferry.kill(pod)
        ferry.remove(pod)
        return True
    return False


def _kill_both(ferry):
    return _kill_worker(ferry) and _kill_operator(ferry)


@scenario
def an_operator_killed_ten_times_goes_on_where_it_was(stage):
    _killed(stage, 10, _kill_operator, seed=11)


@scenario
def a_worker_killed_ten_times_loses_and_doubles_nothing(stage):
    _killed(stage, 10, _kill_worker, seed=12)


@scenario
def operator_and_worker_killed_together_five_times_end_the_same(stage):
    _killed(stage, 5, _kill_both, seed=13)


@scenario
def a_worker_that_wakes_up_after_its_successor_writes_nothing(stage):
    stage.clean_odoo()
    ferry = stage.ferry(claim_mode="ReadWriteOnce", values=["--set", "worker.terminationGracePeriodSeconds=900"])
    ferry.begin()
    ferry.until_gate("mapping")
    committed, go_on = threading.Event(), threading.Event()

    def after(call):
        """Odoo has made the first companies; the worker does not hear of it before it is frozen."""
        if str(call) == "res.partner.create" and not committed.is_set():
            committed.set()
            go_on.wait(60)
    stage.wire.after = after
    ferry.approve("mapping")
    assert committed.wait(180), "no company is created"
    frozen = until(ferry.workers, 30, "no pod of the worker is told to run")[0]        # its status comes after its first calls
    assert ferry.send(frozen, signal.SIGSTOP), "no worker to freeze"
    go_on.set()
    try:
        _to_the_end(ferry)
        names = [p["metadata"]["name"] for p in ferry.get("pods")["items"]]
        assert frozen["metadata"]["name"] in names, "the frozen pod is gone: nothing was shown"
        stage.wire.calm()
    finally:
        woken = ferry.send(frozen, signal.SIGCONT)
    assert woken, "the frozen worker was gone before it was woken"
    until(lambda: frozen["metadata"]["name"] not in [p["metadata"]["name"] for p in ferry.get("pods")["items"]], 60, "the woken worker does not end")
    assert not stage.wire.written(), f"the woken worker wrote {stage.wire.written()}"
    ferry.verify()


@scenario
def an_odoo_restarted_in_the_middle_of_a_batch_is_gone_on_with(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    for model in "res.partner", "crm.lead":
        creates = stage.wire.next_call(model, "create")
        if model == "res.partner":
            ferry.approve("mapping")
        assert creates.wait(180), f"no {model} is created"
        stage.odoo.restart()
    _to_the_end(ferry)


@scenario
def an_answer_lost_after_the_commit_makes_no_twin(stage):
    stage.clean_odoo()
    ferry = stage.ferry()
    ferry.begin()
    ferry.until_gate("mapping")
    chance, lost = random.Random(14), []

    def after(call):
        if call.writes and call.model != "ir.config_parameter" and chance.random() < 0.3 and len(lost) < 30:
            lost.append(str(call))
            raise Drop
    stage.wire.after = after
    ferry.approve("mapping")
    ferry.complete(seconds=600)
    assert len(lost) > 5, f"only {lost} were lost"
    ferry.verify()
