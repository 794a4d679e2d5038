"""What can make a replay differ, and how it is said.

A cause names a factor, which part of it is another, and what was recorded and what replays. It is
written in Chinese and English; the factor's English name stands in both, so that a program can
look for it in either.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.domain import Json, Runtime, Text

UNEXPLAINED: Final = Text("原因不明 (unexplained)", "unexplained")
# Of the runtime: parts that any stage may come out otherwise by, named where no nearer one is.
_FAR: Final = ("python", "libc", "candor")
_CPU: Final = ("machine", "cpu")


class Factor(StrEnum):
    """What a decision depends on; `RECORD` where the facts part is not the one that was logged."""

    RECORD = "record"
    MODEL = "model"
    CALIBRATION = "calibration"
    FEATURE_CODE = "feature code"
    POLICY = "policy"
    REFERENCE = "reference version"
    LIBRARY = "library"
    CPU = "CPU"


_CHINESE: Final = {
    Factor.RECORD: "记录",
    Factor.MODEL: "模型",
    Factor.CALIBRATION: "校准",
    Factor.FEATURE_CODE: "特征代码",
    Factor.POLICY: "策略",
    Factor.REFERENCE: "参考表版本",
    Factor.LIBRARY: "软件库",
    Factor.CPU: "处理器",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A factor that gives something else than it gave then.

    Parameters
    ----------
    factor
        Which one.
    part
        Of the factor: a library, a table, a file.
    recorded, replays
        Its version or digest then and now; None where there is none.
    is_shown
        False when it is only another than recorded while the replay differs where no factor by
        itself does.
    """

    factor: Factor
    part: str
    recorded: str | None
    replays: str | None
    is_shown: bool = True

    @property
    def text(self) -> Text:
        """One line in both languages."""
        then, now = self.recorded, self.replays
        zh = (
            f"{_CHINESE[self.factor]} ({self.factor}): {self.part}: "
            f"记录为 {then or '无'}, 重放为 {now or '无'}"
        )
        en = f"{self.factor}: {self.part}: {then or 'none'} was recorded, {now or 'none'} replays"
        if self.is_shown:
            return Text(zh, en)
        return Text(f"{UNEXPLAINED.zh}; 仅此不同: {zh}", f"{UNEXPLAINED.en}; also other: {en}")

    def __str__(self) -> str:
        """Return the English line."""
        return self.text.en

    def describe(self) -> dict[str, Json]:
        """Return the cause as a program reads it."""
        return {
            "factor": self.factor.value,
            "part": self.part,
            "recorded": self.recorded,
            "replayed": self.replays,
            "shown": self.is_shown,
        }


def join_causes(causes: Iterable[Cause]) -> Text:
    """Return causes in one line; `UNEXPLAINED` where there is none.

    Examples
    --------
    >>> join_causes([Cause(Factor.CPU, "machine", "x86_64", "aarch64")]).en
    'CPU: machine: x86_64 was recorded, aarch64 replays'
    >>> join_causes([]).zh
    '原因不明 (unexplained)'
    """
    texts = [cause.text for cause in causes]
    if not texts:
        return UNEXPLAINED
    return Text("; ".join(text.zh for text in texts), "; ".join(text.en for text in texts))


def others(
    factor: Factor, part: str, recorded: str | None, replays: str | None
) -> tuple[Cause, ...]:
    """Return the cause that a part is, if it is another than recorded."""
    return () if recorded == replays else (Cause(factor, part, recorded, replays),)


def of_runtime(
    then: Runtime, now: Runtime, near: Iterable[str] = (), *, by_cpu: bool = False
) -> tuple[Cause, ...]:
    """Return what of the runtime makes a stage differ whose code and data are as recorded.

    Parameters
    ----------
    near
        Libraries that the stage calls, the most direct first; the first that is another is named.
    by_cpu
        Whether its numbers come from code that chooses its instructions by the processor.

    Returns
    -------
    tuple of Cause
        Library and processor where both are others: one run cannot tell them apart. Where neither
        is, the first other of Python, the C library, this program and the processor.
    """
    found = [*_first(then, now, near, Factor.LIBRARY)]
    if by_cpu:
        found += _first(then, now, _CPU, Factor.CPU)
    if not found:
        found += [*_first(then, now, _FAR, Factor.LIBRARY)]
    return tuple(found) or tuple(_first(then, now, _CPU, Factor.CPU))


def suspects(then: Runtime, now: Runtime) -> tuple[Cause, ...]:
    """Return the first part of the runtime that is another, as not shown to be the reason."""
    names = [name for name in Runtime.__dataclass_fields__ if name not in (*_FAR, *_CPU)]
    for name in (*names, *_FAR, *_CPU):
        recorded, replays = getattr(then, name), getattr(now, name)
        if recorded != replays:
            return (Cause(_factor_of(name), name, recorded, replays, is_shown=False),)
    return ()


def _factor_of(name: str) -> Factor:
    if name == "feature_code":
        return Factor.FEATURE_CODE
    return Factor.CPU if name in _CPU else Factor.LIBRARY


def _first(then: Runtime, now: Runtime, names: Iterable[str], factor: Factor) -> Iterator[Cause]:
    for name in names:
        cause = others(factor, name, getattr(then, name), getattr(now, name))
        if cause:
            yield from cause
            return
