"""Bundles and policies on disk: content-addressed folders and files, data only.

A bundle holds all that a decision depends on: the LightGBM text model, the calibration tables, the
kind (feature schema and reason catalogue), the category tables, the explainer, the digest of the
training rows that the explanations are measured against, and the library versions. Its digest is
the SHA-256 of its manifest, which names each file's SHA-256. Loading checks every digest; no
pickle is ever read.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from models.calibration import Calibration, parse_calibration
from models.conformal import Conformal, parse_conformal
from models.content_store import content_digest, load_content, save_content
from models.domain import Json, PolicyRef
from models.errors import BundleCorruptError, KindFileError
from models.kind import Kind, parse_kind
from models.policy_document import Policy

_FORMAT = 1
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Explainer:
    """Which code explains, and its version."""

    id: str
    version: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A trained model as data.

    Parameters
    ----------
    digest
        ``sha256:…`` of the manifest.
    kind
        As trained, with the policy that it was first published with; a record pins the policy
        that was in force.
    model_text
        LightGBM text model.
    calibration, conformal
        See `models.calibration` and `models.conformal`; a bundle without the latter keeps no
        promise.
    categories
        Category feature to its known values; a value's place is its code.
    explainer
        Which exact explainer the attributions come from.
    background_digest
        SHA-256 of the feature matrix whose tree cover counts the attributions are relative to.
    feature_code
        Digest of the feature functions that made the training table.
    libraries
        Library name to version at training.
    """

    digest: str
    kind: Kind
    model_text: str
    calibration: Calibration
    categories: dict[str, tuple[str, ...]]
    explainer: Explainer
    background_digest: str
    feature_code: str
    libraries: dict[str, str]
    conformal: Conformal | None = None


def build_bundle(
    *,
    kind: Kind,
    model_text: str,
    calibration: Calibration,
    categories: Mapping[str, tuple[str, ...]],
    explainer: Explainer,
    background_digest: str,
    feature_code: str,
    libraries: Mapping[str, str],
    conformal: Conformal | None = None,
) -> Bundle:
    """Put a bundle together and name it by its digest; see `Bundle` for the parameters."""
    bundle = Bundle(
        digest="",
        kind=kind,
        model_text=model_text,
        calibration=calibration,
        categories=dict(categories),
        explainer=explainer,
        background_digest=background_digest,
        feature_code=feature_code,
        libraries=dict(libraries),
        conformal=conformal,
    )
    return replace(bundle, digest=content_digest(_files(bundle)[_MANIFEST]))


def save_bundle(root: Path, bundle: Bundle) -> Path:
    """Write a bundle below `root` and return its folder; writing it again changes nothing.

    The folder appears whole or not at all, and is durable when this returns.
    """
    target = root / bundle.digest.replace(":", "-")
    if target.exists():
        return target
    root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".bundle-", dir=root))
    try:
        for name, content in _files(bundle).items():
            _write_durably(staging / name, content)
        staging.chmod(0o755)
        staging.rename(target)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        if not target.exists():
            raise
    _sync_folder(root)
    return target


def load_bundle(root: Path, digest: str) -> Bundle:
    """Read a bundle and check every byte of it against `digest`.

    Raises
    ------
    BundleCorruptError
        When a file is missing, altered, or not what a bundle holds.
    """
    folder = root / digest.replace(":", "-")
    manifest_bytes = _read(folder / _MANIFEST)
    if content_digest(manifest_bytes) != digest:
        raise BundleCorruptError(f"the manifest in {folder.name} is not the one named {digest}")
    try:
        manifest = orjson.loads(manifest_bytes)
        contents = {name: _read(folder / name) for name in manifest["files"]}
        for name, expected in manifest["files"].items():
            if content_digest(contents[name]) != expected:
                raise BundleCorruptError(f"{name} in {folder.name} was altered")
        return Bundle(
            digest=digest,
            kind=parse_kind(orjson.loads(contents["kind.json"])),
            model_text=contents["model.txt"].decode(),
            calibration=parse_calibration(orjson.loads(contents["calibration.json"])),
            categories={k: tuple(v) for k, v in manifest["categories"].items()},
            explainer=Explainer(**manifest["explainer"]),
            background_digest=manifest["background_digest"],
            feature_code=manifest["feature_code"],
            libraries=manifest["libraries"],
            conformal=parse_conformal(orjson.loads(contents["conformal.json"]))
            if "conformal.json" in contents
            else None,
        )
    except (KeyError, TypeError, AttributeError, ValueError, KindFileError) as error:
        raise BundleCorruptError(f"{folder.name} is not a bundle: {error}") from error


def find_altered(root: Path, digest: str) -> dict[str, tuple[str, str | None]]:
    """Return the files of a bundle that are not those that its digest names.

    Parameters
    ----------
    digest
        Of the bundle.

    Returns
    -------
    dict
        File name to the digest that it should have and the one that it has, None where it is
        missing; empty when the bundle is whole, or not there at all.

    Raises
    ------
    BundleCorruptError
        When a file that is there cannot be read.
    """
    folder = root / digest.replace(":", "-")
    if not folder.is_dir():
        return {}
    found = _found(folder / _MANIFEST)
    if found != digest:
        return {_MANIFEST: (digest, found)}
    files: dict[str, str] = orjson.loads(_read(folder / _MANIFEST))["files"]
    said = {name: (expected, _found(folder / name)) for name, expected in files.items()}
    return {name: pair for name, pair in said.items() if pair[0] != pair[1]}


def save_policy(root: Path, policy: Policy) -> PolicyRef:
    """Write a policy below `root` under its digest and return its reference."""
    digest = save_content(root, _json(policy.model_dump(mode="json")))
    return PolicyRef(policy.name, policy.version, digest)


def load_policy(root: Path, digest: str) -> Policy:
    """Read a policy and check it against `digest`.

    Raises
    ------
    BundleCorruptError
        When it is missing or altered.
    """
    return Policy.model_validate_json(load_content(root, digest))


def _files(bundle: Bundle) -> dict[str, bytes]:
    contents = {
        "calibration.json": _json(bundle.calibration.canonical()),
        "kind.json": _json(bundle.kind.canonical()),
        "model.txt": bundle.model_text.encode(),
    }
    if bundle.conformal is not None:
        contents["conformal.json"] = _json(bundle.conformal.canonical())
    manifest: Json = {
        "background_digest": bundle.background_digest,
        "categories": {name: list(values) for name, values in bundle.categories.items()},
        "explainer": {"id": bundle.explainer.id, "version": bundle.explainer.version},
        "feature_code": bundle.feature_code,
        "files": {name: content_digest(content) for name, content in contents.items()},
        "format": _FORMAT,
        "kind": bundle.kind.name,
        "libraries": dict(bundle.libraries),
    }
    return {**contents, _MANIFEST: _json(manifest)}


def _json(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def _found(path: Path) -> str | None:
    return content_digest(_read(path)) if path.is_file() else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleCorruptError(f"{path.parent.name}/{path.name} cannot be read") from error


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
