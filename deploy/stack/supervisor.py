"""Stands between an owner and one server, so that the server never outlives its owner.

A program of its own, started as `supervisor.py DIRECTORY LOG COMMAND...` by `process.py`. The
owner holds the other end of standard input and writes one letter for each signal it wants sent.
When the owner dies, however it dies, the kernel closes that end: the server is killed and its
directory removed. (PR_SET_PDEATHSIG straight from the owner would fire when the *thread* that
started the server ends. Here, where there is one thread only, it covers our own sudden death.)
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
SIGNALS = {
    b"t": signal.SIGTERM,
    b"k": signal.SIGKILL,
    b"s": signal.SIGSTOP,
    b"c": signal.SIGCONT,
}


def main() -> int:
    """Run the server to its end and return its exit code, or 128 + the signal that ended it."""
    directory, log_path, *command = sys.argv[1:]
    with open(log_path, "ab") as log:  # noqa: PTH123 - pathlib would double our start-up time
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            preexec_fn=_die_with_supervisor,  # noqa: PLW1509 - there are no threads here
        )
    print(server.pid, flush=True)
    if not _serve_owner(server):
        server.kill()
        server.wait()
        shutil.rmtree(directory, ignore_errors=True)
        return 0
    code = server.wait()
    return code if code >= 0 else 128 - code


def _serve_owner(server: "subprocess.Popen[bytes]") -> bool:
    """Pass signals on until the server ends (True) or the owner does (False).

    The one wait without a timeout: one of the two always comes.
    """
    owner = sys.stdin.fileno()
    server_end = os.pidfd_open(server.pid)
    while True:
        ready, _, _ = select.select([owner, server_end], [], [])
        if server_end in ready:
            return True
        letter = os.read(owner, 1)
        if not letter:
            return False
        server.send_signal(SIGNALS[letter])


def _die_with_supervisor() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
