"""What a check found: one verdict for each step, in Chinese and English.

A step that raises has failed: damaged input must never look like a passed check.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

GOOD, FAILED, UNAUTHENTICATED = 0, 1, 3
STEPS = {
    "container": ("容器", "container"),
    "manifest": ("清单", "manifest"),
    "files": ("文件摘要", "file digests"),
    "checkpoints": ("检查点签名", "checkpoint signatures"),
    "tree": ("默克尔树", "Merkle tree"),
    "consistency": ("一致性证明", "consistency proofs"),
    "timestamps": ("时间戳", "timestamps"),
    "cosignatures": ("见证者共同签名", "cosignatures"),
    "receipts": ("回执", "receipts"),
    "facts": ("事实部分", "facts"),
    "annex": ("区间外条目", "entries outside the range"),
    "artefacts": ("模型与参考数据", "models and reference data"),
    "personal": ("个人信息部分", "personal parts"),
    "completeness": ("完整性声明", "completeness"),
    "orders": ("订单核对", "order reconciliation"),
    "signer": ("签署者", "signer"),
}
_MOST_FAULTS = 20
_Seen = TypeVar("_Seen")


class CheckError(Exception):
    """A check failed.

    Parameters
    ----------
    zh, en
        One sentence each; nothing personal.
    """

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


@dataclass
class Verdict:
    """What a step came to.

    Parameters
    ----------
    checked
        How many things were looked at; None for a step that could not be done.
    faults, notes
        Sentences (zh, en): why it failed, and what else a reader must know.
    """

    checked: "int | None" = None
    faults: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


class Findings:
    """The verdicts of all steps, in their order."""

    def __init__(self) -> None:
        self.verdicts = {step: Verdict() for step in STEPS}

    def fault(self, step: str, zh: str, en: str) -> None:
        """Note that a step failed."""
        faults = self.verdicts[step].faults
        if len(faults) < _MOST_FAULTS:
            faults.append((zh, en))

    def note(self, step: str, zh: str, en: str) -> None:
        """Note what a reader must know of a step."""
        self.verdicts[step].notes.append((zh, en))

    def count(self, step: str, checked: int) -> None:
        """Say how many things a step looked at."""
        self.verdicts[step].checked = checked

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Turn whatever is raised into a fault of a step."""
        try:
            yield
        except CheckError as error:
            self.fault(name, error.zh, error.en)
        except Exception as error:  # noqa: BLE001 - whatever damaged input causes is a failed check
            kind = type(error).__name__
            self.fault(name, f"内容无法读取({kind})", f"the content cannot be read ({kind})")

    def guarded(self, name: str, call: Callable[[_Seen], None], seen: _Seen) -> bool:
        """Show something to a step's check and tell whether it raised nothing."""
        before = len(self.verdicts[name].faults)
        with self.step(name):
            call(seen)
        return len(self.verdicts[name].faults) == before

    def is_good(self) -> bool:
        """Tell whether every step was done and none failed."""
        return all(
            verdict.checked is not None and not verdict.faults
            for name, verdict in self.verdicts.items()
            if name != "signer"
        )

    def exit_code(self) -> int:
        """Return 0 when good, 1 when a check failed, 3 when good but of an unknown signer."""
        signer = self.verdicts["signer"]
        if signer.faults or not self.is_good():
            return FAILED
        return UNAUTHENTICATED if signer.checked is None else GOOD


def render_verdicts(findings: Findings) -> str:
    """Return the verdicts for people, a line for each step in both languages."""
    lines = []
    for number, (name, (zh, en)) in enumerate(STEPS.items(), start=1):
        verdict = findings.verdicts[name]
        mark = "FAIL" if verdict.faults else "ok" if verdict.checked is not None else "-"
        count = "" if verdict.checked is None else f" ({verdict.checked})"
        lines.append(f"{number:>2} {mark:<4} {zh} / {en}{count}")
        for fault in verdict.faults:
            lines += [f"        {fault[0]}", f"        {fault[1]}"]
        for said in verdict.notes:
            lines += [f"      * {said[0]}", f"        {said[1]}"]
    zh, en = _CONCLUSIONS[findings.exit_code()]
    return "\n".join([*lines, "", zh, en])


def describe_verdicts(findings: Findings) -> dict[str, object]:
    """Return the verdicts for programs."""
    steps = []
    for name, verdict in findings.verdicts.items():
        done = verdict.checked is not None
        steps.append(
            {
                "step": name,
                "ok": None if not done and not verdict.faults else not verdict.faults,
                "checked": verdict.checked,
                "faults": [{"zh": zh, "en": en} for zh, en in verdict.faults],
                "notes": [{"zh": zh, "en": en} for zh, en in verdict.notes],
            }
        )
    code = findings.exit_code()
    problems = [
        {"code": name, "detail": en}
        for name, verdict in findings.verdicts.items()
        for _, en in verdict.faults
    ]
    return {
        "ok": code == GOOD,
        "exit_code": code,
        "verdict": _CONCLUSIONS[code][1],
        "problems": problems,
        "steps": steps,
    }


_CONCLUSIONS = {
    GOOD: (
        "结论:证据包完整、一致,且由给定密钥的日志签署。",
        "Verdict: the bundle is whole, consistent and signed by the log of the given key.",
    ),
    FAILED: (
        "结论:检查未通过;上面标有 FAIL 的步骤说明原因。",
        "Verdict: NOT as it was issued; the steps marked FAIL say why.",
    ),
    UNAUTHENTICATED: (
        "结论:内容一致,但未验证签署者;请用 --key 给出从别处获知的日志验证密钥。",
        (
            "Verdict: consistent, signer not authenticated; give the log's verifier key, "
            "known from elsewhere, with --key."
        ),
    ),
}
