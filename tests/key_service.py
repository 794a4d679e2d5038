"""A little key service: a program that wraps under a key of its own, and can be told to refuse."""

import sys
from pathlib import Path

_PROGRAM = """
import base64, hashlib, hmac, os, pathlib, sys, time
folder = pathlib.Path(__file__).parent
act, name = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    calls.write(act + " " + name + "\\n")
mode = (folder / "mode").read_text()
if mode == "refuse":
    sys.exit(7)
if mode == "hang":
    os.system("sleep 600")
if mode == "chatter":
    sys.stdout.write("A" * 100_000)
    sys.stdout.flush()
    time.sleep(600)
if mode == "nonsense":
    print("?")
    sys.exit(0)
key = (folder / "key").read_bytes()
given = base64.b64decode(sys.stdin.readline())
stream = hashlib.sha512(key + name.encode()).digest()
mix = lambda data: bytes(a ^ b for a, b in zip(data, stream))
seal = lambda data: hmac.digest(key, name.encode() + data, "sha256")
if act == "wrap":
    made = mix(given)
    answer = made + seal(made)
else:
    if not hmac.compare_digest(seal(given[:-32]), given[-32:]):
        sys.exit(3)
    answer = mix(given[:-32])
print(base64.b64encode(answer).decode())
"""


class SampleKeyService:
    """The program in a folder of its own.

    Parameters
    ----------
    folder
        Where; it is made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        (folder / "kms.py").write_text(_PROGRAM)
        (folder / "key").write_bytes(b"the key that never leaves")
        self.say("")

    @property
    def command(self) -> tuple[str, ...]:
        """Return how it is called."""
        return (sys.executable, "-I", "-S", str(self._folder / "kms.py"))

    def say(self, mode: str) -> None:
        """Let it work (an empty mode), refuse, hang, chatter or talk nonsense."""
        (self._folder / "mode").write_text(mode)

    def calls(self) -> list[str]:
        """Return what it was asked so far."""
        path = self._folder / "calls"
        return path.read_text().splitlines() if path.exists() else []
