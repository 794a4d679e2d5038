"""Models, policies, kinds and reference tables.

Each is what its name says, none that a decision pins is missing, and each came into force by an
entry of the log.
"""

import json
from hashlib import sha256

from reports.verifier.container import Container
from reports.verifier.findings import CheckError
from reports.verifier.statement import Scope

FOLDERS = ("bundles", "policies", "references", "kinds")


def verify_artefacts(container: Container) -> int:
    """Check the content of every artefact against its name; raises `CheckError`."""
    names = [name for name in container.sizes if name.partition("/")[0] in FOLDERS]
    for name in names:
        folder, _, place = name.partition("/")
        if folder == "bundles":
            _verify_bundle_file(container, *place.split("/"))
        elif _digest(container, name) != place.removesuffix(".json").replace("-", ":"):
            raise _altered(name)
    return len(names)


def verify_pins(
    container: Container,
    scope: Scope,
    models: set[tuple[str, str]],
    references: set[str],
) -> None:
    """Check that all that decisions pin is there or named as missing; raises `CheckError`."""
    needed = {f"policies/{_file(policy)}" for _, policy in models}
    needed |= {f"references/{_file(digest)}" for digest in references}
    for bundle, _ in models:
        place = bundle.replace(":", "-")
        kind = f"kinds/{place}.json"
        needed.add(kind if kind in container.sizes else f"bundles/{place}/manifest.json")
    for name in sorted(needed - container.sizes.keys()):
        if name not in scope.missing["artefacts"]:
            raise CheckError(f"缺少 {name}", f"{name} is missing")


def verify_in_force(
    scope: Scope,
    used: tuple[set[tuple[str, str]], set[str]],
    in_force: tuple[set[tuple[str, str]], set[str]],
) -> None:
    """Check that an entry brought each model and table into force; raises `CheckError`.

    Parameters
    ----------
    scope
        What the bundle covers.
    used, in_force
        Pairs of bundle and policy, and digests of reference tables.
    """
    for bundle, policy in sorted(used[0] - in_force[0]):
        if f"publication {bundle} {policy}" not in scope.missing["artefacts"]:
            raise CheckError(
                f"没有条目发布过模型 {bundle}", f"no entry published the model {bundle}"
            )
    for digest in sorted(used[1] - in_force[1]):
        if f"reference {digest}" not in scope.missing["artefacts"]:
            raise CheckError(f"没有条目载入过 {digest}", f"no entry loaded the table {digest}")


def _verify_bundle_file(container: Container, folder: str, file: str) -> None:
    name = f"bundles/{folder}/{file}"
    manifest = f"bundles/{folder}/manifest.json"
    digest = _digest(container, name)
    if name == manifest:
        if digest != folder.replace("-", ":"):
            raise _altered(name)
        missing = json.loads(container.read(manifest))["files"].keys()
        for one in missing:
            container.open(f"bundles/{folder}/{one}").close()
    elif json.loads(container.read(manifest))["files"].get(file) != digest:
        raise _altered(name)


def _digest(container: Container, name: str) -> str:
    digest = sha256()
    for chunk in container.chunks(name):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _file(digest: str) -> str:
    return f"{digest.replace(':', '-')}.json"


def _altered(name: str) -> CheckError:
    return CheckError(f"{name} 的内容与其名称不符", f"{name} is not what its name says")
