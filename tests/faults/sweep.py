"""System calls that fail: which ones a writer makes, and a run for each that is made to fail."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.nursery import Nursery, Run
from tests.faults.recovered import Message, find_problems
from tests.faults.scenario import Job

# Every call by which something could change on a disk; those that a run makes are swept.
CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "fallocate", "ftruncate", "truncate"),
    *("fsync", "fdatasync", "sync_file_range", "msync"),
    *("unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "mkdir"),
)
EIO, ENOSPC, SIGKILL = "error=EIO", "error=ENOSPC", "signal=SIGKILL"
# From the position on every such call fails, as on a disk that is full and stays full.
FULL = "error=ENOSPC, stays"
FAULTS = (EIO, ENOSPC, SIGKILL, FULL)
# What may be said of a failing disk; all of it is answered with 503.
_CLEAR = {"store-unavailable"}
# An erasure that failed after its first step is finished at the next start.
_OF_ERASURE = {"subject-not-found"}
_NAMED = re.compile(r"[<\"]([^>\"]*)[>\"]")


@dataclass(frozen=True, slots=True)
class Scene:
    """A folder to begin with, what was answered in it, and a job to do in a copy of it."""

    name: str
    template: Path | None
    messages: tuple[Message, ...]
    numbers: tuple[int, ...]
    job: Job


@dataclass(frozen=True, slots=True)
class Injected:
    """One run with a fault."""

    scene: str
    call: str
    fault: str
    position: int
    fired: bool
    file: str
    refused: int
    problems: tuple[str, ...]
    seconds: float


def prepare_scenes(nursery: Nursery, folder: Path, journals: Sequence[str]) -> Iterator[Scene]:
    """Yield a log that goes on and one that begins, for each journal mode."""
    first, then = ((0, 1), (2, 3)), ((4, 5), (6, 7), (8, 9), (12, 13))
    for journal in journals:
        template = folder / f"template-{journal}"
        done = nursery.run(Job(str(template), first, journal=journal, tag="t"))
        assert done.messages[-1] == {"did": "end", "complete": True}, done.messages
        job = Job("", then, erase_after=2, journal=journal)
        yield Scene(f"{journal}, going on", template, done.messages, (0, 1, 2, 3), job)
        job = Job("", (*first, *then[:1]), erase_after=1, journal=journal)
        yield Scene(f"{journal}, new", None, (), (), job)


def stage(scene: Scene, folder: Path) -> Job:
    """Copy the template of a scene, and return its job there."""
    shutil.rmtree(folder, ignore_errors=True)
    if scene.template is not None:
        shutil.copytree(scene.template, folder)
    return replace(scene.job, folder=str(folder))


def count_calls(nursery: Nursery, scene: Scene, folder: Path) -> Counter[str]:
    """Return how often each call is made when nothing fails."""
    run = nursery.run(stage(scene, folder), ["-y", "-e", f"trace={','.join(CALLS)}"])
    assert not run.fired
    assert run.messages[-1] == {"did": "end", "complete": True}
    return Counter(re.findall(r"^(\w+)\(", run.trace, re.MULTILINE))


def spread(count: int, most: int) -> list[int]:
    """Return at most so many positions between 1 and count, both ends among them.

    Examples
    --------
    >>> spread(9, 3)
    [1, 5, 9]
    """
    if count <= most:
        return list(range(1, count + 1))
    if most == 1:
        return [count // 2 + 1]
    return sorted({1 + round(at * (count - 1) / (most - 1)) for at in range(most)})


def inject(nursery: Nursery, scene: Scene, folder: Path, what: tuple[str, str, int]) -> Injected:
    """Let one call fail (its name, the fault, its place), then check that the log comes back."""
    call, fault, position = what
    began = time.perf_counter()
    when = f"{position}+" if fault == FULL else f"{position}"
    how = f"inject={call}:{fault.partition(',')[0]}:when={when}"
    run = nursery.run(stage(scene, folder), ["-y", "-e", f"trace={call}", "-e", how])
    problems = tuple(judge(scene, folder, run))
    named = _NAMED.search(run.hit)
    return Injected(
        scene=scene.name,
        call=call,
        fault=fault,
        position=position,
        fired=run.fired,
        file="" if named is None else name_file(named[1], folder),
        refused=len(run.all("refuse")),
        problems=problems,
        seconds=time.perf_counter() - began,
    )


def judge(scene: Scene, folder: Path, run: Run) -> list[str]:
    """Return what is wrong with what a writer said, and with what it left."""
    clear = _CLEAR | (_OF_ERASURE if run.all("refuse") else set())
    unclear = [said["error"] for said in run.all("unclear")]
    unclear += [str(said) for said in run.all("refuse") if said["code"] not in clear]
    messages = (*scene.messages, *run.messages)
    numbers = {*scene.numbers, *scene.job.numbers}
    return unclear + find_problems(folder, messages, numbers, scene.job.journal)


def name_file(path: str, folder: Path) -> str:
    """Return a file's path below the folder, random parts of a name left out."""
    if path == str(folder.parent):
        return "the folder above"
    inside = path.removeprefix(str(folder)).removeprefix("/") or "."
    return re.sub(r"\.[0-9a-f]{16}$", ".…", inside)
