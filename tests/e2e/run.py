#!/usr/bin/env python3
"""Plays scenarios on a real Kubernetes with a real Odoo, one line each.

    eval "$(tests/testbed/up.sh)"; cargo build --release; tests/e2e/run.py [NAME...] [--list] [--keep]

A NAME is a scenario or a file of scenarios/. What a failed one left behind (logs, PhaseRuns, status) is in target/e2e/failed/.
The scenarios have an Odoo of their own, on port 8070 (CRMFERRY_E2E_ODOO_PORT).
"""

import argparse
import importlib
import sys
import time
import traceback

sys.dont_write_bytecode = True

import bed                                                                 # noqa: E402
import ferry                                                               # noqa: E402

FILES = ["input", "whole", "troubles", "gates", "faults", "life", "proof"]


class Stage:
    """What a scenario is given: the wire, a clean Odoo, and ferries that are looked after."""

    def __init__(self, wire, name, keep):
        self.wire, self.name, self.keep, self.ferries = wire, name, keep, []

    def ferry(self, suffix="", **more):
        name = self.name.replace("_", "-")[:24].strip("-") + suffix
        self.ferries.append(ferry.Ferry(self.wire, name, **more))
        return self.ferries[-1]

    def clean_odoo(self):
        return bed.clean_odoo()


def scenarios():
    """Name to function, in the order they are played in. A sentence is a name: `a_worker_...` of scenarios/faults.py."""
    found = {}
    for file in FILES:
        module = importlib.import_module("scenarios." + file)
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("_") and getattr(value, "scenario", False):
                found[name] = (file, value)
    return found


def play(stage, scene):
    stage.wire.calm()
    try:
        scene(stage)
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
    failed, started = 0, time.monotonic()
    wire = bed.prepare()
    ferry.shared_release()
    print(f"ready after {time.monotonic() - started:.0f} s", flush=True)
    for name, scene in chosen.items():
        begun = time.monotonic()
        problem = play(Stage(wire, name, given.keep), scene)
        print(f"{'FAIL' if problem else 'ok':4} {name.replace('_', ' ')} ({time.monotonic() - begun:.0f} s)", flush=True)
        if problem:
            failed += 1
            print("     " + problem.replace("\n", "\n     "), flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
