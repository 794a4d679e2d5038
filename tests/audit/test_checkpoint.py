"""Checkpoints: signed, strictly read, refused when anything is otherwise."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import (
    Checkpoint,
    LogSigner,
    parse_checkpoint,
    parse_decimal,
    parse_verifier_key,
    verify_checkpoint,
)
from audit.errors import CheckpointInvalidError, VerifierKeyInvalidError
from audit.merkle import leaf_hash
from tests.audit.sample import OTHER_SIGNER, SIGNER, VKEY

VECTORS = json.loads(
    Path(__file__).with_name("vectors").joinpath("checkpoint.json").read_text("utf-8")
)
ROOT = leaf_hash(b"x")
NOTE = SIGNER.sign(41, ROOT)


def test_a_signed_checkpoint_holds() -> None:
    assert verify_checkpoint(NOTE, VKEY) == Checkpoint("candor.example/log", 41, ROOT)
    assert parse_checkpoint(NOTE).tree_size == 41


def test_the_verifier_key_has_the_form_of_signed_notes() -> None:
    """The key of the signed-note specification's example is read as it stands there."""
    key = parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert (key.name, key.key_id.hex(), len(key.public_key)) == ("PeterNeumann", "c74f20a3", 32)


def test_signatures_of_others_are_ignored() -> None:
    witness = LogSigner("witness.example/w", Ed25519PrivateKey.from_private_bytes(b"\x05" * 32))
    line = witness.sign(41, ROOT).splitlines()[-1]
    assert verify_checkpoint(f"{NOTE}{line}\n", VKEY).tree_size == 41


def test_an_extension_line_is_allowed_and_signed() -> None:
    body = NOTE.partition("\n\n")[0] + "\nextension\n"
    signature = SIGNER.private_key.sign(body.encode())
    key_id = bytes.fromhex(VKEY.split("+")[1])
    text = base64.b64encode(key_id + signature).decode()
    assert verify_checkpoint(f"{body}\n— candor.example/log {text}\n", VKEY).root_hash == ROOT


@pytest.mark.parametrize("place", range(0, len(NOTE), 3))
def test_a_checkpoint_with_any_character_changed_is_refused(place: int) -> None:
    changed = NOTE[:place] + ("A" if NOTE[place] != "A" else "B") + NOTE[place + 1 :]
    with pytest.raises(CheckpointInvalidError):
        verify_checkpoint(changed, VKEY)


def test_another_log_or_key_is_refused() -> None:
    with pytest.raises(CheckpointInvalidError, match="0 signatures"):
        verify_checkpoint(NOTE, OTHER_SIGNER.verifier_key)
    stranger = LogSigner("other.example/log", SIGNER.private_key)
    with pytest.raises(CheckpointInvalidError, match="another log"):
        verify_checkpoint(NOTE, stranger.verifier_key)


def test_a_signature_of_another_length_or_twice_is_refused() -> None:
    body, _, line = NOTE.partition("\n\n")
    raw = base64.b64decode(line.split(" ")[2])
    short = base64.b64encode(raw[:-1]).decode()
    with pytest.raises(CheckpointInvalidError, match="64 bytes"):
        verify_checkpoint(f"{body}\n\n— candor.example/log {short}\n", VKEY)
    with pytest.raises(CheckpointInvalidError, match="2 signatures"):
        verify_checkpoint(f"{NOTE}{line}", VKEY)


def test_a_public_key_that_is_no_point_is_refused() -> None:
    """A verifier key of a low-order or invalid point verifies nothing."""
    raw = b"\x01" + b"\xff" * 32
    key_id = sha256(b"candor.example/log\n" + raw).digest()[:4]
    vkey = f"candor.example/log+{key_id.hex()}+{base64.b64encode(raw).decode()}"
    line = base64.b64encode(key_id + bytes(64)).decode()
    note = NOTE.partition("\n\n")[0] + f"\n\n— candor.example/log {line}\n"
    with pytest.raises(CheckpointInvalidError, match="does not hold"):
        verify_checkpoint(note, vkey)


@pytest.mark.parametrize("case", VECTORS["notes"], ids=lambda case: case["desc"])
def test_note_vector(case: dict[str, Any]) -> None:
    note = case["note"].replace("$LINE", NOTE.splitlines()[-1])
    if case["want_error"] is None:
        assert parse_checkpoint(note).tree_size == 41
        return
    with pytest.raises(CheckpointInvalidError, match=case["want_error"]):
        parse_checkpoint(note)


@pytest.mark.parametrize("case", VECTORS["keys"], ids=lambda case: case["desc"])
def test_key_vector(case: dict[str, Any]) -> None:
    with pytest.raises(VerifierKeyInvalidError, match=case["want_error"]):
        parse_verifier_key(case["vkey"])


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u3000b"])
def test_an_origin_that_cannot_name_a_key_is_refused(origin: str) -> None:
    with pytest.raises(VerifierKeyInvalidError):
        LogSigner(origin, SIGNER.private_key)


def test_decimals_are_plain() -> None:
    assert [parse_decimal(text) for text in ("0", "7", str(2**63 - 1))] == [0, 7, 2**63 - 1]
    for text in ("", "01", "-1", "+1", " 1", "1_0", "٣", str(2**63), "9" * 5000):
        with pytest.raises(CheckpointInvalidError):
            parse_decimal(text)
