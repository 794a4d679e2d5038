"""A disk that loses what was not flushed: images of a folder as a power cut may leave it.

strace's log of a writer holds each write with its bytes, each flush and each change of a name, in
order. Played again up to some moment, with a choice of what of the unflushed reached the disk, it
gives an image. The model is stricter than most file systems:

- of unflushed writes any part may be there, down to single sectors of 512 bytes, in any order;
- a name (of a new, linked, renamed or removed file, or of a folder) is durable only once its folder
  was flushed;
- what was unflushed when a flush failed may be lost for good, even if a later flush succeeds.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

_SECTOR: Final = 512
RECORDED: Final = (
    "openat,close,lseek,read,write,pwrite64,ftruncate,fsync,fdatasync,"
    "unlink,unlinkat,rename,link,linkat,mkdir,sendto"
)
# Bytes in hex, whole, and file descriptors by their paths.
RECORDING: Final = ("-xx", "-s", "100000")
_LINE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
# What cannot be recorded faithfully must not be there.
_UNKNOWN: Final = {"writev", "pwritev", "pwritev2", "fallocate", "renameat", "renameat2"}


@dataclass(frozen=True, slots=True)
class Event:
    """One system call that succeeded, or a flush that failed."""

    call: str
    fd: int
    result: int
    data: bytes = b""
    paths: tuple[str, ...] = ()
    number: int = 0
    flags: str = ""


def parse_trace(trace: str) -> list[Event]:
    """Return the events of strace's log, those of interest."""
    events = [event for line in trace.splitlines() if (event := _parse_line(line))]
    # A process of its own, with file descriptors of its own.
    return [Event("start", -1, 0), *events]


def _parse_line(line: str) -> Event | None:
    matched = _LINE.match(line)
    if matched is None:
        assert line.startswith("+++") or line.endswith("= ?"), line[:200]
        return None
    call, said, result = matched[1], matched[2], int(matched[3])
    assert call not in _UNKNOWN, call
    if result < 0 and call not in ("fsync", "fdatasync"):
        return None
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(said)]
    rest = _TEXT.sub("", said).split(", ")
    leading = re.match(r"\d+", rest[0])
    fd = -1 if leading is None else int(leading[0])
    if call in ("write", "pwrite64", "sendto"):
        number = int(rest[3]) if call == "pwrite64" else 0
        return Event(call, fd, result, texts[0][:result], number=number)
    if call == "ftruncate":
        return Event(call, fd, result, number=int(rest[1]))
    paths = () if call in ("read", "lseek", "close") else tuple(text.decode() for text in texts)
    return Event(call, fd, result, paths=paths, flags=rest[2] if call == "openat" else "")


@dataclass(slots=True, eq=False)
class _File:
    """A file: what is on the disk, and the changes that are not flushed yet."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)


_Name = tuple[str, _File | None]
Choose = Callable[[], bool]


class Disk:
    """A folder's disk while events are played.

    Parameters
    ----------
    folder
        The folder that is watched; as it is now, everything in it is durable.
    """

    def __init__(self, folder: Path) -> None:
        self._root = str(folder)
        self._names: dict[str, _File | None] = {self._root: None}
        for path in sorted(folder.rglob("*")) if folder.exists() else ():
            content = None if path.is_dir() else _File(bytearray(path.read_bytes()))
            self._names[str(path)] = content
        # What a process sees, and which changes of names each folder has not flushed.
        self._seen = dict(self._names)
        self._unflushed: dict[str, list[_Name | str]] = {}
        self._open: dict[int, tuple[str, _File | None]] = {}
        self._places: dict[int, int] = {}
        self.messages: list[dict[str, Any]] = []
        self._said = b""

    def play(self, event: Event, survives: Choose) -> None:
        """Let one event happen.

        Parameters
        ----------
        event
            From `parse_trace`.
        survives
            Asked for each unflushed change when a flush fails.
        """
        match event.call:
            case "start":
                self._open.clear()
            case "openat":
                self._open_file(event)
            case "close":
                self._open.pop(event.fd, None)
            case "mkdir":
                self._name(event.paths[0], None)
            case "unlink" | "unlinkat":
                self._unname(event.paths[0])
            case "link" | "linkat":
                self._name(event.paths[1], self._seen.get(event.paths[0]))
            case "rename":
                self._name(event.paths[1], self._seen.get(event.paths[0]))
                self._unname(event.paths[0])
            case "sendto":
                self._hear(event.data)
            case _ if event.fd in self._open:
                self._change(event, survives)

    def _hear(self, data: bytes) -> None:
        *lines, self._said = (self._said + data).split(b"\n")
        self.messages += [orjson.loads(line) for line in lines]

    def _is_inside(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root + "/")

    def _open_file(self, event: Event) -> None:
        path = event.paths[0]
        self._open.pop(event.result, None)
        if not self._is_inside(path):
            return
        if path not in self._seen:
            assert "O_CREAT" in event.flags, path
            self._name(path, _File())
        assert "O_TRUNC" not in event.flags, path
        assert "O_APPEND" not in event.flags, path
        self._open[event.result] = (path, self._seen[path])
        self._places[event.result] = 0

    def _name(self, path: str, file: _File | None) -> None:
        if self._is_inside(path):
            self._seen[path] = file
            self._unflushed.setdefault(_parent(path), []).append((path, file))

    def _unname(self, path: str) -> None:
        if self._is_inside(path):
            self._seen.pop(path, None)
            self._unflushed.setdefault(_parent(path), []).append(path)

    def _change(self, event: Event, survives: Choose) -> None:
        path, file = self._open[event.fd]
        if event.call in ("fsync", "fdatasync"):
            self._flush(path, file, survives if event.result < 0 else _everything)
        elif event.call == "lseek":
            self._places[event.fd] = event.result
        elif event.call == "read":
            self._places[event.fd] += event.result
        elif file is not None and event.call == "ftruncate":
            file.pending.append((event.number, None))
        elif file is not None and event.call == "pwrite64":
            file.pending.append((event.number, event.data))
        elif file is not None and event.call == "write":
            file.pending.append((self._places[event.fd], event.data))
            self._places[event.fd] += event.result

    def _flush(self, path: str, file: _File | None, survives: Choose) -> None:
        if file is None:
            for change in self._unflushed.pop(path, []):
                if survives():
                    _rename(self._names, change)
            return
        for offset, data in file.pending:
            if survives():
                _write(file.content, offset, data)
        file.pending.clear()

    def cut(self, way: str, rng: random.Random) -> dict[str, bytes | None]:
        """Return what is on the disk if the power goes now; None is a folder.

        Parameters
        ----------
        way
            What of the unflushed is there: "nothing", "everything", "some" of the writes, or some
            "sectors" of them.
        rng
            Chooses.
        """
        chance = {"nothing": 0.0, "everything": 1.0}.get(way, rng.choice((0.1, 0.5, 0.9)))

        def survives() -> bool:
            return rng.random() < chance

        names = dict(self._names)
        for changes in self._unflushed.values():
            for change in changes:
                if survives():
                    _rename(names, change)
        image: dict[str, bytes | None] = {}
        for path, file in sorted(names.items()):
            if path != self._root and _parent(path) not in image:
                continue
            image[path] = None if file is None else _settle(file, way, survives)
        return image


def _everything() -> bool:
    return True


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _rename(names: dict[str, _File | None], change: _Name | str) -> None:
    if isinstance(change, str):
        names.pop(change, None)
    else:
        names[change[0]] = change[1]


def _settle(file: _File, way: str, survives: Choose) -> bytes:
    content = bytearray(file.content)
    for offset, data in file.pending:
        parts = [(offset, data)] if data is None or way != "sectors" else _sectors(offset, data)
        for at, part in parts:
            if survives():
                _write(content, at, part)
    return bytes(content)


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        end = at + _SECTOR - (offset + at) % _SECTOR
        yield offset + at, data[at:end]
        at = end


def _write(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


def write_image(image: dict[str, bytes | None], root: Path, folder: Path) -> None:
    """Write an image of one folder as another.

    Parameters
    ----------
    image
        From `Disk.cut`.
    root
        The folder that was recorded.
    folder
        Where to write it; it must not be there.
    """
    for name, content in sorted(image.items()):
        path = folder / Path(name).relative_to(root)
        if content is None:
            path.mkdir(parents=True)
        # The shared-memory index is no file of a disk: it is made anew from the log beside it.
        elif not name.endswith("-shm"):
            path.write_bytes(content)
