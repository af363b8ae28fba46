"""The warm parent: its children are born clean, die where they should, and never outlive it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.process import wait_until

SCRIPT = """
import json, os, signal, sys, time
from pathlib import Path
from payment_service import failpoints
from tests.chaos.shared import SharedClock, Tally, Trap
from tests.chaos.zygote import Ended, Order, Signal, Zygote

folder = Path(sys.argv[1])
tally = Tally(["a:before", "a:after"])
held = os.open(folder / "held", os.O_RDWR | os.O_CREAT)

def main(order):
    failpoints.arm(Trap(tally, order.role, order.slot, order.chances))
    if order.role == "api":
        with failpoints.effect("a"):
            pass
        failpoints.passed("unheard of")
        return 7
    (folder / order.name).write_text(json.dumps(
        {"pid": os.getpid(), "NAME": os.environ["NAME"],
         "open": [os.readlink(f"/proc/self/fd/{n}") for n in range(100)
                  if os.path.exists(f"/proc/self/fd/{n}")]}))
    time.sleep(600)

zygote = Zygote(main, lambda: None, [])
def order(name, role, slot, **more):
    tally.prepare(slot)
    zygote.send(Order(name=name, slot=slot, role=role, environ={"NAME": name},
                      log=folder / "log", **more))
"""


def run(folder: Path, script: str) -> "subprocess.Popen[str]":
    """Run a script in a process of its own, as one with threads cannot be forked safely."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT + script, str(folder)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_process_dies_at_its_failpoint_and_the_tally_knows(tmp_path: Path) -> None:
    process = run(tmp_path, """
order("api-0", "api", 0, chances={"a:after": 1.0})
killed = zygote.connection.recv()
order("api-1", "api", 1)
ended = zygote.connection.recv()
print(json.dumps([killed.code, tally.last_word(0), ended.code, tally.last_word(1),
                  tally.passes("api", "a:before"), tally.strangers()]))
zygote.close()
""")  # fmt: skip

    told, _ = process.communicate(timeout=60)

    assert json.loads(told) == [-9, "a:after", 7, None, 2, 1]


def test_a_child_inherits_nothing_and_takes_signals(tmp_path: Path) -> None:
    process = run(tmp_path, """
order("relay-0", "relay", 0)
while not (folder / "relay-0").exists() or not (folder / "relay-0").read_text():
    time.sleep(0.01)
zygote.send(Signal("nobody", signal.SIGKILL))
zygote.send(Signal("relay-0", signal.SIGTERM))
print(json.dumps(zygote.connection.recv().code))
zygote.close()
""")  # fmt: skip

    told, _ = process.communicate(timeout=60)
    child = json.loads((tmp_path / "relay-0").read_text())

    assert json.loads(told) == -15
    assert child["NAME"] == "relay-0"
    assert not any(path.endswith(("held", "socket")) for path in child["open"])
    assert len(child["open"]) <= 3 + 1  # the standard ones, and what it writes this to


def test_children_die_with_their_owner(tmp_path: Path) -> None:
    process = run(tmp_path, """
order("relay-0", "relay", 0)
time.sleep(600)
""")  # fmt: skip
    told = tmp_path / "relay-0"
    wait_until(told.exists, seconds=60, what="the child lives")
    wait_until(told.read_text, what="the child has told its number")
    child = json.loads(told.read_text())["pid"]

    process.kill()
    process.communicate(timeout=60)

    wait_until(lambda: not is_alive(child), what="the child has died")


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that is not yet buried does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
