"""A process that forks writers: python -m tests.faults.writer.

Each line of its input is a socket's path and a job; the writer that it forks connects there, waits
until it is told to begin, and does the job. Forking leaves out the seconds that imports take.
"""

import os
import signal
import socket
import sys

import audit.migrations.run  # noqa: F401 - imported before the fork, or each writer would
from tests.faults.scenario import Job, tell_to, write


def main() -> None:
    """Fork a writer for each line; print its process id."""
    # Nobody waits for the writers: their sockets tell when they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        address, _, said = line.partition(b" ")
        pid = os.fork()
        if pid == 0:
            _work(address, Job.from_json(said))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _work(address: bytes, job: Job) -> None:
    # Whatever comes, the child must not go on with the parent's loop.
    code = 1
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            connection.recv(1)
            write(job, tell_to(connection))
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
