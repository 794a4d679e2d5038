"""Proofs of a real log, and altered ones, as other verifiers take them."""

import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from audit.log import consistency
from audit.receipt import parse_receipt
from tests.audit.sample import OTHER_SIGNER, VKEY, Log

SIZES = (1, 2, 3, 4, 7, 8, 9, 16, 21)


@dataclass(frozen=True, slots=True)
class Case:
    """A proof to check.

    Parameters
    ----------
    name
        What it is, or what was done to it.
    key, note
        Verifier key and signed checkpoint.
    index, leaf
        Of an inclusion proof.
    proof
        Hashes.
    old
        The earlier checkpoint of a consistency proof; empty for an inclusion proof.
    """

    name: str
    key: str
    note: str
    proof: tuple[bytes, ...]
    index: int = 0
    leaf: bytes = b""
    old: str = ""


def whole_cases(folder: Path) -> list[Case]:
    """Return every inclusion proof as it was answered, and consistency between checkpoints."""
    log = Log(folder)
    cases, notes, size = [], {}, 0
    for until in SIZES:
        for appended in log.add(*range(size, until)):
            receipt = parse_receipt(appended.receipt)
            notes[appended.tree_size] = receipt.checkpoint_note
            cases.append(
                Case(
                    f"leaf {appended.leaf_index} of {appended.tree_size}",
                    VKEY,
                    receipt.checkpoint_note,
                    receipt.proof,
                    receipt.leaf_index,
                    appended.leaf,
                )
            )
        size = until
    for old in SIZES:
        for new in SIZES:
            if old <= new:
                proof = tuple(consistency(log.store, old, new))
                name = f"from {old} to {new}"
                cases.append(Case(name, VKEY, notes[new], proof, old=notes[old]))
    return cases


def altered_cases(cases: list[Case], number: int, seed: int) -> Iterator[Case]:
    """Yield proofs with one thing changed; none of them may be accepted."""
    chance = random.Random(seed)  # noqa: S311 - a draw, not a secret
    made = 0
    while made < number:
        case, alter = chance.choice(cases), chance.choice(_ALTERATIONS)
        altered = alter(case, chance)
        if altered != case:
            made += 1
            yield replace(altered, name=f"{case.name}: {alter.__name__}")


def _flip(raw: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :]


def _flip_proof(case: Case, chance: random.Random) -> Case:
    if not case.proof:
        return case
    place = chance.randrange(len(case.proof))
    hashes = list(case.proof)
    hashes[place] = _flip(hashes[place], chance)
    return replace(case, proof=tuple(hashes))


def _shorten_proof(case: Case, chance: random.Random) -> Case:
    place = chance.randrange(len(case.proof)) if case.proof else 0
    return replace(case, proof=case.proof[:place] + case.proof[place + 1 :])


def _lengthen_proof(case: Case, chance: random.Random) -> Case:
    place = chance.randint(0, len(case.proof))
    return replace(case, proof=(*case.proof[:place], bytes(32), *case.proof[place:]))


def _swap_hashes(case: Case, chance: random.Random) -> Case:
    hashes = list(case.proof)
    chance.shuffle(hashes)
    return replace(case, proof=tuple(hashes))


def _flip_leaf(case: Case, chance: random.Random) -> Case:
    return case if case.old else replace(case, leaf=_flip(case.leaf, chance))


def _move_leaf(case: Case, chance: random.Random) -> Case:
    return case if case.old else replace(case, index=case.index + chance.choice((-1, 1, 2**40)))


def _change_size(case: Case, chance: random.Random) -> Case:
    origin, size, rest = case.note.split("\n", 2)
    return replace(case, note=f"{origin}\n{int(size) + chance.choice((1, 8))}\n{rest}")


def _change_root(case: Case, chance: random.Random) -> Case:
    origin, size, root, rest = case.note.split("\n", 3)
    other = b64encode(_flip(b64decode(root), chance)).decode()
    return replace(case, note=f"{origin}\n{size}\n{other}\n{rest}")


def _change_signature(case: Case, chance: random.Random) -> Case:
    body, _, signature = case.note.rstrip("\n").rpartition(" ")
    other = b64encode(_flip(b64decode(signature), chance)).decode()
    return replace(case, note=f"{body} {other}\n")


def _change_origin(case: Case, _chance: random.Random) -> Case:
    return replace(case, note=case.note.replace("candor.example/log", "candor.example/lag"))


def _other_key(case: Case, _chance: random.Random) -> Case:
    return replace(case, key=OTHER_SIGNER.verifier_key)


def _other_old(case: Case, chance: random.Random) -> Case:
    return case if not case.old else replace(case, old=_change_root(case, chance).note)


_ALTERATIONS: tuple[Callable[[Case, random.Random], Case], ...] = (
    _flip_proof,
    _shorten_proof,
    _lengthen_proof,
    _swap_hashes,
    _flip_leaf,
    _move_leaf,
    _change_size,
    _change_root,
    _change_signature,
    _change_origin,
    _other_key,
    _other_old,
)
