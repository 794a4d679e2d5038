"""Power cuts at any moment of what a writer does, of a faulty run, and of one after a kill."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from audit.store import open_store
from tests.faults.disk import RECORDED, RECORDING, Disk, Event, parse_trace, write_image
from tests.faults.nursery import Nursery
from tests.faults.recovered import Message, find_lost, find_problems
from tests.faults.scenario import make_settings
from tests.faults.sweep import Scene, spread, stage

WAYS = ("nothing", "everything", "some", "sectors")
_RECORD = [*RECORDING, "-e", f"trace={RECORDED}"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What happened in a folder, and how it began.

    Parameters
    ----------
    name
        What was recorded.
    scene
        What it began with.
    root
        The folder.
    events
        In order.
    """

    name: str
    scene: Scene
    root: Path
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """One image."""

    recording: str
    way: str
    at: int
    answered: int
    problems: tuple[str, ...]
    seconds: float


def record(nursery: Nursery, scene: Scene, root: Path) -> Recording:
    """Record a run in which nothing fails."""
    run = nursery.run(stage(scene, root), _RECORD)
    assert run.messages[-1] == {"did": "end", "complete": True}, run.messages
    return Recording(f"{scene.name}, undisturbed", scene, root, tuple(parse_trace(run.trace)))


def record_failing(
    nursery: Nursery, scene: Scene, root: Path, fault: tuple[str, str, int]
) -> Recording:
    """Record a run in which one call fails, and the same job sent again by a new process."""
    call, how, position = fault
    job = stage(scene, root)
    run = nursery.run(job, [*_RECORD, "-e", f"inject={call}:{how}:when={position}"])
    assert run.fired, fault
    again = nursery.run(replace(job, tag="x", erase_after=None), _RECORD)
    events = (*parse_trace(run.trace), *parse_trace(again.trace))
    return Recording(f"{scene.name}, {call} {how}, restarted", scene, root, events)


def find_moments(recording: Recording, most: int) -> list[int]:
    """Return numbers of events to cut after: around each flush, name and answer, and between."""
    turning = {"fsync", "fdatasync", "link", "unlink", "rename", "mkdir", "ftruncate", "sendto"}
    at = [
        moment
        for place, event in enumerate(recording.events)
        if event.call in turning
        for moment in (place, place + 1)
    ]
    between = range(0, len(recording.events), 7)
    moments = sorted({*at, *between, len(recording.events)})
    return [moments[place - 1] for place in spread(len(moments), most)]


def cut_power(
    recording: Recording, folder: Path, moments: list[int], ways: tuple[str, ...], seed: int
) -> Iterator[Cut]:
    """Yield what became of a log after a power cut at each of the moments, in each way."""
    for moment in moments:
        for way in ways:
            yield _cut_once(recording, folder, moment, way, f"{seed}/{moment}/{way}")


def _cut_once(recording: Recording, folder: Path, moment: int, way: str, seed: str) -> Cut:
    began = time.perf_counter()
    messages = make_image(recording, folder, moment, way, seed)
    scene = recording.scene
    said = (*scene.messages, *messages)
    problems = find_problems(folder, said, {*scene.numbers, *scene.job.numbers}, scene.job.journal)
    answered = Counter(message["did"] for message in said)["answer"]
    elapsed = time.perf_counter() - began
    return Cut(recording.name, way, moment, answered, tuple(problems), elapsed)


def make_image(
    recording: Recording, folder: Path, moment: int, way: str, seed: str
) -> list[Message]:
    """Write one image, and return what was said up to its moment."""
    rng = random.Random(seed)  # noqa: S311 - chooses faults, no secrets
    template = recording.scene.template
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(recording.root, ignore_errors=True)
    if template is not None:
        shutil.copytree(template, recording.root)
    disk = Disk(recording.root)
    for event in recording.events[:moment]:
        disk.play(event, lambda: rng.random() < 0.5)
    write_image(disk.cut(way, rng), recording.root, folder)
    return disk.messages


def count_losses(recording: Recording, folder: Path, moments: list[int], seed: int) -> list[int]:
    """Return for each moment how many answered decisions an image without the unflushed lost."""
    lost = []
    for moment in moments:
        messages = make_image(recording, folder, moment, "nothing", f"{seed}/{moment}")
        # The service would not open it: it is behind the checkpoint kept outside.
        store = open_store(make_settings(folder).store_url)
        lost.append(len(find_lost(store, [*recording.scene.messages, *messages])))
        store.close()
    return lost
