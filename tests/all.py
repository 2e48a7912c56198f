#!/usr/bin/env python3
"""Everything that is tested, real parts included: `make test`. Root on Debian 12, Rust and Go; the rest is installed or built.

The test bed (Kubernetes from its Go sources, Odoo) comes up in the background while Rust is checked, tested and built. A line
for each part; what it printed is in target/test/, and its end on the screen where it failed. A part that cannot begin has failed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(REPO, "target", "test")
BED = os.path.join(REPO, "tests", "testbed")
STATE = os.environ.get("CRMFERRY_TESTBED", "/var/tmp/crmferry-testbed")
PORT = int(os.environ.get("CRMFERRY_E2E_ODOO_PORT", "8170"))
CACHE = {"CRMFERRY_TESTBED_CACHE": os.environ.get("CRMFERRY_TESTBED_CACHE", os.path.join(os.path.dirname(REPO), "shared", "testbed"))}
LANES = [{"ROOT": os.path.join(STATE, f"odoo-e2e{lane}"), "HTTP": str(PORT + lane)} for lane in range(3)]    # as tests/e2e/run.py has them
ON_ITS_OWN = " ".join(f"{name}={shlex.quote(value)}" for name, value in LANES[0].items())

RUST = [
    ("format", ["cargo", "fmt", "--check"]),
    ("tests of Rust", ["cargo", "test", "--locked"]),
    ("lints", ["cargo", "clippy", "--locked", "--all-targets", "--", "-D", "warnings"]),
    ("release build", ["cargo", "build", "--release", "--locked"]),
]
REAL = [                              # those of one list one after the other, the lists of one step side by side: each has an Odoo of its own
    [
        [
            ("generated files", ["hack/generate.sh", "--check"]),
            ("chart and policies", ["python3", "-B", "tests/testbed/chart_test.py"]),
            ("verifier", ["bash", "-c", f'eval "$({ON_ITS_OWN} tests/testbed/odoo/reset.sh | sed "s/^/export /")" && exec python3 -B tests/testbed/verify_test.py']),
        ],
        [("Odoo in memory against the real one", ["cargo", "test", "--locked", "--test", "it", "odoo_", "--", "--test-threads=1"])],
    ],
    [[("scenarios", ["python3", "-B", "tests/e2e/run.py"])]],
]


def counts(output, good):
    """Passed and failed, as the runners of Rust, Python and the scenarios tell them; a command without tests is one."""
    cargo = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed", output, re.M)
    own = re.findall(r"^(\d+) passed, (\d+) failed", output, re.M)
    python = re.findall(r"^Ran (\d+) tests? in", output, re.M)
    passed = failed = 0
    for one, other in cargo or own:
        passed, failed = passed + int(one), failed + int(other)
    if python and not cargo:
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
        passed, failed = int(python[-1]) - min(bad, int(python[-1])), bad
    if not (cargo or own or python):
        passed = int(good)
    return passed, failed if good else max(failed, 1)


class Bed:
    """Comes up on its own; `environment` is there when it has."""

    def __init__(self):
        self.environment = None
        self.thread = threading.Thread(target=self.up, daemon=True)
        self.thread.start()

    def up(self):
        os.makedirs(LOGS, exist_ok=True)
        with open(os.path.join(LOGS, "test-bed.log"), "w", encoding="utf-8") as log:
            done = subprocess.run([os.path.join(BED, "up.sh")], stdout=subprocess.PIPE, stderr=log, text=True)
            good = done.returncode == 0
            for lane in LANES:
                good = good and subprocess.run([os.path.join(BED, "odoo", "up.sh")], stdout=log, stderr=log, env=dict(os.environ, **CACHE, **lane)).returncode == 0
        if not good:
            return
        show = subprocess.run(["bash", "-c", done.stdout + "\nenv -0"], capture_output=True, text=True, check=True)
        self.environment = dict(pair.split("=", 1) for pair in show.stdout.split("\0") if "=" in pair)


class Score:
    """What has passed and failed so far."""

    def __init__(self):
        self.passed = self.failed = 0
        self.one_at_a_time = threading.Lock()

    def play(self, name, command, environment=None):
        log = os.path.join(LOGS, re.sub(r"\W+", "-", name) + ".log")
        begun = time.monotonic()
        lines = []
        with open(log, "w", encoding="utf-8") as file, subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            for line in process.stdout:
                file.write(line)
                lines.append(line)
                if name == "scenarios":                                     # they take long: each is told as it ends
                    print("  " + line, end="", flush=True)
        passed, failed = counts("".join(lines), process.returncode == 0)
        with self.one_at_a_time:
            self.passed, self.failed = self.passed + passed, self.failed + failed
            print(f"{'FAIL' if failed else 'ok':4} {name}: {passed} passed, {failed} failed ({time.monotonic() - begun:.0f} s)", flush=True)
            if failed and name != "scenarios":
                print("".join(lines[-60:]) + f"in full: {log}", flush=True)
        return not failed

    def lost(self, name, why):
        with self.one_at_a_time:
            self.failed += 1
            print(f"FAIL {name}: {why}", flush=True)

    def play_beside(self, lists, play):
        """Each list in its order, the lists at once. What cannot be played has failed."""
        def in_order(parts):
            for name, command in parts:
                try:
                    play(name, command)
                except Exception as error:                                   # a thread that dies must not be a test that passes
                    self.lost(name, repr(error))
        threads = [threading.Thread(target=in_order, args=(parts,)) for parts in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    for program, remedy in ("cargo", "install Rust 1.95 (https://rustup.rs)"), ("python3", "apt-get install python3"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: {remedy}")
    os.environ["PATH"] += ":/usr/local/go/bin"
    for name in [name for name in os.environ if name.startswith("ODOO_")]:
        del os.environ[name]                                   # tests of Rust that see an Odoo use it, side by side; here they get it in their turn
    if os.geteuid() or not shutil.which("go"):
        sys.exit("make test starts a Kubernetes that it builds: it needs root and Go 1.24 or later")
    os.makedirs(LOGS, exist_ok=True)
    begun, bed, score = time.monotonic(), Bed(), Score()
    built = [score.play(name, command) for name, command in RUST][-1]
    bed.thread.join()
    print(f"     test bed after {time.monotonic() - begun:.0f} s", flush=True)
    if bed.environment is None:
        with open(os.path.join(LOGS, "test-bed.log"), encoding="utf-8") as log:
            print("".join(log.readlines()[-40:]))

    def on_the_bed(name, command):
        if bed.environment is None:
            score.lost(name, "the test bed did not come up")
        elif name == "scenarios" and not built:
            score.lost(name, "there is no release build")
        else:
            score.play(name, command, bed.environment)

    for step in REAL:
        score.play_beside(step, on_the_bed)
    print(f"{score.passed} passed, {score.failed} failed")
    sys.exit(1 if score.failed or not score.passed else 0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(f"{shlex.join(sys.argv)}: takes no arguments; tests/e2e/run.py plays single scenarios")
    main()
