"""A warm parent: everything is imported once, and a process of the service is one fork away.

It was forked itself before there were threads or loops, and holds the sockets on which API and
provider listen; so a killed API never refuses a connection. One thread, one loop, three commands.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1
FAILED = 70  # the exit code of a process that raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A process to be started."""

    name: str
    slot: int
    role: str
    environ: Mapping[str, str]
    log: Path
    arguments: tuple[str, ...] = ()  # of an operator's command
    chances: Mapping[str, float] = field(default_factory=dict)  # to die, per failpoint


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal to be sent to a process, if it still runs."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process; the code is minus the signal if one ended it."""

    name: str
    pid: int
    code: int


Main = Callable[[Order], int]


class Zygote:
    """The owner's side: where commands go and ends come from."""

    def __init__(self, main: Main, warm_up: Callable[[], None], keep: list[socket.socket]) -> None:
        """Fork the warm parent. Call it while the process has one thread and no loop."""
        ours, theirs = Pipe()
        self.connection: Connection = ours
        owner = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _die_with(owner)
            _serve(theirs, main, warm_up, keep)
        theirs.close()

    def send(self, command: Order | Signal) -> None:
        """Give a command."""
        self.connection.send(command)

    def close(self) -> None:
        """End it, and with it every process that it made."""
        self.connection.close()
        os.waitpid(self.pid, 0)


def _serve(
    owner: Connection, main: Main, warm_up: Callable[[], None], keep: list[socket.socket]
) -> NoReturn:
    try:
        warm_up()
        gc.collect()
        gc.freeze()  # a collection in a child would copy the pages that all share
        running: dict[int, tuple[str, int]] = {}  # by pidfd
        while True:
            for ready in wait([owner, *running]):
                if isinstance(ready, int):
                    name, pid = running.pop(ready)
                    os.close(ready)
                    _, status = os.waitpid(pid, 0)
                    owner.send(Ended(name, pid, os.waitstatus_to_exitcode(status)))
                elif not _obey(owner, running, main, keep):
                    os._exit(0)
    except BaseException:  # noqa: BLE001  # whatever it is, nothing may return into the owner's code
        traceback.print_exc()
        os._exit(1)


def _obey(
    owner: Connection,
    running: dict[int, tuple[str, int]],
    main: Main,
    keep: list[socket.socket],
) -> bool:
    """Do as the owner says; false when the owner has gone."""
    try:
        command = owner.recv()
    except (EOFError, OSError):
        for _, pid in running.values():
            os.kill(pid, signal.SIGKILL)
        return False
    if isinstance(command, Signal):
        for pidfd, (name, _) in running.items():
            if name == command.name:
                signal.pidfd_send_signal(pidfd, command.number)
        return True
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_child(command, parent, main, {place.fileno() for place in keep})
    running[os.pidfd_open(pid)] = (command.name, pid)
    return True


def _be_child(order: Order, parent: int, main: Main, keep: set[int]) -> NoReturn:
    code = FAILED
    try:
        _die_with(parent)
        _close_inherited(keep)
        log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.clear()
        os.environ.update(order.environ)
        code = main(order)
    except BaseException:  # noqa: BLE001  # whatever it is, nothing may return into the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it was faster


def _close_inherited(keep: set[int]) -> None:
    """Close what belongs to others: a socket that lives on in a sibling holds its row locks."""
    for path in list(Path("/proc/self/fd").iterdir()):
        number = int(path.name)
        if number > 2 and number not in keep:
            try:
                os.close(number)
            except OSError:
                continue  # the listing's own
