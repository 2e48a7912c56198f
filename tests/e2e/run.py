#!/usr/bin/env python3
"""Plays scenarios on a real Kubernetes with a real Odoo, one line each.

    eval "$(tests/testbed/up.sh)"; cargo build --release; tests/e2e/run.py [NAME...] [--list] [--keep] [--lanes N]

A NAME is a scenario or a file of scenarios/. What a failed one left behind (logs, PhaseRuns, status) is in target/e2e/failed/.
Each lane has an Odoo of its own, from port 8170 (CRMFERRY_E2E_ODOO_PORT) on.
"""

import argparse
import importlib
import queue
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True

import bed                                                                 # noqa: E402
import ferry                                                               # noqa: E402
from wire import Wire                                                      # noqa: E402

FILES = ["whole", "api", "waiting", "faults", "life", "troubles", "proof", "input", "gates"]


class Stage:
    """What a scenario is given: an Odoo, the wire to it, and ferries that are looked after."""

    def __init__(self, odoo, wire, name, keep):
        self.odoo, self.wire, self.name, self.keep, self.ferries = odoo, wire, name, keep, []

    def ferry(self, **more):
        name = self.name.replace("_", "-")[:24].strip("-")
        self.ferries.append(ferry.Ferry(self.wire, self.odoo, name, **more))
        return self.ferries[-1]

    def clean_odoo(self):
        self.odoo.clean()
        return self.odoo


class Lanes:
    """Scenarios side by side, each lane with an Odoo of its own: most of their time is Kubernetes starting pods."""

    def __init__(self, count, keep):
        self.keep, self.failed, self.out = keep, 0, threading.Lock()
        self.odoos = [bed.Odoo(lane) for lane in range(count)]
        for odoo in self.odoos:
            odoo.up()
        self.wires = [Wire(bed.BRIDGE, odoo.port) for odoo in self.odoos]

    def lane(self, number, waiting):
        while True:
            try:
                name, scene = waiting.get_nowait()
            except queue.Empty:
                return
            begun = time.monotonic()
            problem = play(Stage(self.odoos[number], self.wires[number], name, self.keep), scene)
            if problem:
                # its waits are bounded, and the machine may be another's meanwhile: told, and played once more
                with self.out:
                    print(f"once more: {name.replace('_', ' ')} ({time.monotonic() - begun:.0f} s)\n     " + problem.replace("\n", "\n     "), flush=True)
                problem = play(Stage(self.odoos[number], self.wires[number], f"again_{name}", self.keep), scene)    # its namespace may still be going
            with self.out:
                self.failed += bool(problem)
                print(f"{'FAIL' if problem else 'ok':4} {name.replace('_', ' ')} ({time.monotonic() - begun:.0f} s)", flush=True)
                if problem:
                    print("     " + problem.replace("\n", "\n     "), flush=True)

    def play(self, scenes):
        waiting = queue.SimpleQueue()
        for scene in scenes:
            waiting.put(scene)
        threads = [threading.Thread(target=self.lane, args=(number, waiting)) for number in range(len(self.odoos))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def scenarios():
    """Name to function, in the order they are played in. A sentence is a name: `a_worker_...` of scenarios/faults.py."""
    found = {}
    for file in FILES:
        module = importlib.import_module("scenarios." + file)
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("_") and hasattr(value, "alone"):
                found[name] = (file, value)
    return found


def play(stage, scene):
    stage.wire.calm()
    stage.wire.json2 = True
    try:
        scene(stage)
        assert not stage.odoo.sink.mails, f"mail left Odoo: {stage.odoo.sink.mails}"
    except Exception:                                                      # every failure of a scenario is told alike
        problem = traceback.format_exc(limit=-4)
        for one in stage.ferries:
            problem += f"see {one.collect()}\n"
        return problem
    finally:
        stage.wire.calm()
        if not stage.keep:
            for one in stage.ferries:
                one.leave()
    return None


def main():
    cli = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cli.add_argument("names", nargs="*", metavar="NAME")
    cli.add_argument("--list", action="store_true", help="only says what there is")
    cli.add_argument("--lanes", type=int, default=3, metavar="N", help="scenarios at once (3)")
    cli.add_argument("--keep", action="store_true", help="leaves namespaces behind")
    given = cli.parse_args()
    known = scenarios()
    chosen = {n: s for n, (f, s) in known.items() if not given.names or n in given.names or f in given.names}
    strange = [n for n in given.names if n not in known and n not in FILES]
    if strange or not chosen:
        raise SystemExit(f"no scenario {', '.join(strange)}; there are {', '.join(known)}")
    if given.list:
        print("\n".join(f"{known[n][0]:9} {n}" for n in chosen))
        return
    started = time.monotonic()
    bed.prepare()
    ferry.shared_release()
    lanes = Lanes(min(given.lanes, len(chosen)), given.keep)
    print(f"     ready after {time.monotonic() - started:.0f} s", flush=True)
    lanes.play([(n, s) for n, s in chosen.items() if not s.alone])
    lanes.play([(n, s) for n, s in chosen.items() if s.alone])
    print(f"{len(chosen) - lanes.failed} passed, {lanes.failed} failed, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if lanes.failed else 0)


if __name__ == "__main__":
    main()
