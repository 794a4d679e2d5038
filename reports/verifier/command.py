"""The checks of an evidence bundle, from its container to its signer.

Exit codes: 0 good, 1 a check failed, 2 wrong usage, 3 consistent but no key was given, so that the
signer is not authenticated: whoever forges a bundle can sign it with a key of their own.
"""

import argparse
import io
import json
import sys
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from reports.verifier.artefacts import verify_artefacts, verify_in_force, verify_pins
from reports.verifier.container import MANIFEST, NOTE, Container
from reports.verifier.disclosure import PersonalCheck
from reports.verifier.findings import (
    CheckError,
    Findings,
    describe_verdicts,
    render_verdicts,
)
from reports.verifier.keychain import KeyChain
from reports.verifier.parts import IndexedLines
from reports.verifier.proofs import hash_leaf, verify_consistency_proof, verify_inclusion_proof
from reports.verifier.signatures import (
    STATEMENT,
    Head,
    LogKey,
    decode_hash,
    parse_head,
    parse_log_key,
    verify_note,
)
from reports.verifier.statement import CountCheck, OrderCheck, Scope, parse_manifest
from reports.verifier.vouching import WITNESS_KEY, verify_stamps, verify_witnessed
from reports.verifier.walk import FactsCheck, Observer, ReceiptCheck, TreeCheck, walk

_UNSIGNED = frozenset({MANIFEST, NOTE})


def verify_bundle(path: Path, given: list[str], witnesses: "tuple[str, ...]" = ()) -> Findings:
    """Check a bundle.

    Parameters
    ----------
    path
        The zip file or its unpacked folder.
    given
        The log's verifier keys, known from elsewhere; empty when none is known.
    witnesses
        Verifier keys of witnesses, known from elsewhere.
    """
    findings = Findings()
    container = None
    # 1. The container holds nothing that a bundle cannot hold.
    with findings.step("container"):
        container = Container(path)
        findings.count("container", len(container.sizes))
    if container is None:
        return findings
    try:
        scope, chain = None, None
        # 2. The manifest is signed, by a key that is known or at least by the one it names.
        with findings.step("manifest"):
            content = container.read(MANIFEST)
            scope = parse_manifest(content)
            keys = _choose_keys(findings, scope, given)
            # A key that the log rotated to is known as well as the one before.
            changes = "keys.jsonl" if "keys.jsonl" in container.sizes else None
            chain = KeyChain(container.lines(changes) if changes else (), keys)
            _verify_manifest(container, content, chain.signers())
            findings.count("manifest", 1)
            if given:
                findings.count("signer", len(keys))
        if scope is not None and chain is not None:
            heads = _verify_contents(container, scope, chain, findings)
            _verify_vouched(container, heads, witnesses, findings)
    finally:
        container.close()
    return findings


def main(arguments: "list[str] | None" = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        description="检查 Candor 证据包 / check a Candor evidence bundle",
        epilog="0 good, 1 a check failed, 2 wrong usage, 3 consistent, signer not authenticated",
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, help="zip file or folder (default: where this file lies)"
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="VKEY",
        help="verifier key of the log, known from elsewhere; may be given several times",
    )
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        metavar="VKEY",
        help="verifier key of a witness, known from elsewhere; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    path = options.bundle or Path(__file__).resolve().parent
    if not path.exists():
        parser.error(f"there is no {path}")
    findings = verify_bundle(path, options.key, tuple(options.witness))
    if options.json:
        print(json.dumps(describe_verdicts(findings), ensure_ascii=False, indent=2))  # noqa: T201 - a command
    else:
        print(render_verdicts(findings))  # noqa: T201 - a command
    return findings.exit_code()


def _choose_keys(findings: Findings, scope: Scope, given: list[str]) -> list[LogKey]:
    with findings.step("signer"):
        if given:
            return [parse_log_key(text) for text in given]
    # Without a key from elsewhere only this is shown: all was signed by one and the same.
    return [parse_log_key(scope.key)]


def _verify_manifest(container: Container, content: bytes, keys: list[LogKey]) -> None:
    lines = verify_note(container.read(NOTE).decode(), keys)
    names = [key.name for key in keys]
    expected = f"sha256 {sha256(content).hexdigest()}"
    if len(lines) != 3 or lines[0] != STATEMENT or lines[1] not in names or lines[2] != expected:  # noqa: PLR2004 - statement, origin, digest
        raise CheckError("签名不是对这份清单的", "the signature is not of this manifest")


def _verify_contents(
    container: Container, scope: Scope, chain: KeyChain, findings: Findings
) -> list[Head]:
    # 3. Every file is the one that the manifest names, and there is no other.
    with findings.step("files"):
        findings.count("files", _verify_files(container, scope))
    with findings.step("completeness"):
        if scope.selection is not None:
            scope.selection |= {json.loads(line) for line in container.lines("selection.jsonl")}
    # 4. Checkpoints are the log's, and each log is a prefix of the next.
    heads: list[Head] = []
    with findings.step("checkpoints"):
        heads = _read_heads(container, scope, chain, findings)
        if heads:
            chain.verify_included(heads[-1])
        findings.count("checkpoints", len(heads))
    with findings.step("consistency"):
        findings.count("consistency", _verify_growth(container, heads))
    # 5. Along the log: tree, facts, receipts, personal parts, counts, orders.
    facts, personal = _walk(container, scope, heads, findings)
    # 6. Entries outside the range that a reader needs: amendments, publications, tables.
    with findings.step("annex"):
        findings.count("annex", _verify_annex(container, scope, heads, facts))
    if facts is not None:
        with findings.step("facts"):
            _tell_purged(findings, facts.purges.verify())
    if facts is not None and personal is not None:
        with findings.step("personal"):
            _tell_erased(findings, personal.verify_erasures(facts.erasures))
    # 7. What a replay needs.
    if facts is not None:
        with findings.step("artefacts"):
            checked = verify_artefacts(container)
            verify_pins(container, scope, facts.models, facts.references)
            used, in_force = (facts.models, facts.references), (facts.published, facts.loaded)
            verify_in_force(scope, used, in_force)
            findings.count("artefacts", checked)
    for part, step in (("facts", "facts"), ("personal", "personal"), ("artefacts", "artefacts")):
        if missing := len(scope.missing[part]):
            findings.note(
                step,
                f"导出时有 {missing} 项已不存在(例如已删除),清单列出了它们",
                f"{missing} were gone when it was exported (erased, say); the manifest lists them",
            )
    return heads


def _verify_vouched(
    container: Container, heads: list[Head], witnesses: "tuple[str, ...]", findings: Findings
) -> None:
    # 8. What others said of the checkpoints.
    with findings.step("timestamps"):
        findings.count("timestamps", verify_stamps(container, heads, findings))
    with findings.step("cosignatures"):
        keys = [parse_log_key(text, WITNESS_KEY) for text in witnesses]
        findings.count("cosignatures", verify_witnessed(container, heads, keys, findings))


def _verify_files(container: Container, scope: Scope) -> int:
    extra = container.sizes.keys() - scope.files.keys() - _UNSIGNED
    if extra:
        name = min(extra)
        raise CheckError(f"清单没有文件 {name}", f"the manifest names no file {name}")
    for name, (digest, size) in scope.files.items():
        found, length = sha256(), 0
        for chunk in container.chunks(name):
            found.update(chunk)
            length += len(chunk)
        if (found.hexdigest(), length) != (digest, size):
            raise CheckError(f"文件 {name} 被改动", f"the file {name} was altered")
    return len(scope.files)


def _read_heads(
    container: Container, scope: Scope, chain: KeyChain, findings: Findings
) -> list[Head]:
    heads: list[Head] = []
    for line in container.lines("checkpoints.jsonl"):
        with findings.step("checkpoints"):
            said = json.loads(line)
            note, size = said["note"], said["tree_size"]
            # What it says is used even if nobody signed it: other steps then name what else is
            # wrong.
            heads.append(parse_head(note, chain.origin_of(size) or scope.origin))
            verify_note(note, chain.keys_of(size))
            if heads[-1].tree_size != size:
                raise CheckError("检查点大小不符", "a checkpoint is of another size")
    sizes = [head.tree_size for head in heads]
    ends = {scope.end, scope.head} | ({scope.begin} if scope.begin else set())
    rising = all(old < new for old, new in pairwise(sizes))
    # Behind the range may stand the first checkpoint that somebody outside vouched for.
    is_within = all(scope.begin <= size <= scope.head for size in sizes)
    if not rising or not ends.issubset(sizes) or not is_within:
        findings.fault(
            "checkpoints", "检查点不齐或顺序不对", "checkpoints are missing or out of order"
        )
    return heads


def _verify_growth(container: Container, heads: list[Head]) -> int:
    old, checked = None, 0
    proofs = (json.loads(line)["consistency"] for line in container.lines("checkpoints.jsonl"))
    for new, texts in zip(heads, proofs, strict=True):
        proof = [decode_hash(text) for text in texts]
        if old is not None:
            verify_consistency_proof(
                old.tree_size, new.tree_size, old.root_hash, new.root_hash, proof
            )
            checked += 1
        elif proof:
            raise CheckError(
                "第一个检查点之前没有检查点", "nothing stands before the first checkpoint"
            )
        old = new
    return checked


def _walk(
    container: Container, scope: Scope, heads: list[Head], findings: Findings
) -> "tuple[FactsCheck | None, PersonalCheck | None]":
    facts, personal = None, None
    observers: list[Observer] = []
    with findings.step("tree"):
        said = json.loads(container.read("tree.json"))
        edge = [decode_hash(text) for text in said["edge"]]
        observers.append(TreeCheck(scope, edge, heads))
    with findings.step("facts"):
        purged = container.lines("purged.jsonl") if "purged.jsonl" in container.sizes else ()
        lines = IndexedLines(container.lines("facts.jsonl"))
        facts = FactsCheck(scope, lines, IndexedLines(iter(purged)))
        observers.append(facts)
    with findings.step("receipts"):
        observers.append(ReceiptCheck(IndexedLines(container.lines("receipts.jsonl")), heads))
    rows: list[dict[str, object]] = []
    with findings.step("orders"):
        if "orders.jsonl" in container.sizes:
            rows = [json.loads(line) for line in container.lines("orders.jsonl")]
    orders = OrderCheck(scope, rows)
    observers.append(orders)
    if rows and not scope.is_personal:
        findings.note(
            "orders",
            "未打开个人信息部分:哪一行对应哪个决定,由运营方声明",
            "no personal parts are opened: which row is which decision is the operator's statement",
        )
    with findings.step("personal"):
        if ("personal.jsonl" in container.sizes) != scope.is_personal:
            raise CheckError(
                "个人信息部分与清单所说不符", "personal parts are not as the manifest says"
            )
        opened = IndexedLines(container.lines("personal.jsonl")) if scope.is_personal else None
        personal = PersonalCheck(opened, orders, scope)
        observers.append(personal)
    observers.append(CountCheck(scope))
    walk(container, scope, observers, findings)
    return facts, personal


def _tell_purged(findings: Findings, purged: int) -> None:
    if purged:
        findings.note(
            "facts",
            f"{purged} 个条目的事实保存期已满而被清理,日志中的清理条目为证",
            f"the facts of {purged} entries were purged when their retention had ended, as purge "
            "entries of the log say",
        )


def _tell_erased(findings: Findings, erased: int) -> None:
    if erased:
        findings.note(
            "personal",
            f"{erased} 个部分已被删除,日志中的删除条目为证",
            f"{erased} parts were erased, as erasure entries of the log say",
        )


def _verify_annex(
    container: Container, scope: Scope, heads: list[Head], facts: "FactsCheck | None"
) -> int:
    checked, last = 0, -1
    for line in container.lines("annex.jsonl"):
        said = json.loads(line)
        index, leaf = said["leaf_index"], said["header"].encode()
        if index <= last or scope.begin <= index < scope.end or not heads:
            raise CheckError(f"条目 {index} 不应在此", f"entry {index} does not belong here")
        head = heads[-1]
        proof = [decode_hash(text) for text in said["proof"]]
        verify_inclusion_proof(hash_leaf(leaf), index, head.tree_size, proof, head.root_hash)
        header, content = json.loads(leaf), said["facts"]
        found = None if content is None else sha256(content.encode()).hexdigest()
        is_listed = content is None and index in scope.missing["facts"]
        if found != header.get("facts_sha256") and not is_listed:
            raise CheckError(
                f"条目 {index} 的事实不是标头所记",
                f"the facts of entry {index} are not those that its header names",
            )
        if facts is not None:
            parsed = {} if content is None else json.loads(content)
            facts.collect(index, header, parsed, is_matched=False)
        checked, last = checked + 1, index
    if scope.counts.get("annex") != checked:
        raise CheckError(
            "区间外条目的数目不符", "the number of entries outside the range is another"
        )
    return checked
