"""Sealed parts open for their entry and key only."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import SealBrokenError
from audit.seal import Sealer
from tests.audit.sample import SEALER, UNHURRIED


@settings(**UNHURRIED)
@given(st.text(max_size=40), st.binary(max_size=300))
def test_what_is_sealed_opens_for_its_entry(entry_id: str, plaintext: bytes) -> None:
    """Sealing and opening are inverse, and the sealed bytes are new each time."""
    sealed = SEALER.seal(entry_id, plaintext)
    assert SEALER.open(entry_id, sealed) == plaintext
    assert SEALER.seal(entry_id, plaintext) != sealed


def test_any_changed_byte_breaks_the_seal() -> None:
    sealed = SEALER.seal("d-1", b"an order")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBrokenError):
            SEALER.open("d-1", bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(SealBrokenError):
            SEALER.open("d-1", sealed[:length])


def test_another_entry_or_key_does_not_open_it() -> None:
    sealed = SEALER.seal("d-1", b"an order")
    with pytest.raises(SealBrokenError):
        SEALER.open("d-2", sealed)
    with pytest.raises(SealBrokenError):
        Sealer(b"\x03" * 32, b"\x02" * 32).open("d-1", sealed)


def test_keyed_hashes_differ_by_domain_value_and_key() -> None:
    other = Sealer(b"\x01" * 32, b"\x03" * 32)
    hashes = {
        SEALER.keyed_hash("order", "a"),
        SEALER.keyed_hash("order", "b"),
        SEALER.keyed_hash("subject", "a"),
        SEALER.keyed_hash("order", "\ud800"),
        other.keyed_hash("order", "a"),
    }
    assert len(hashes) == 5
    assert SEALER.keyed_hash("order", "a") in hashes


@pytest.mark.parametrize("keys", [(b"", bytes(32)), (bytes(32), bytes(31))])
def test_keys_of_another_length_are_refused(keys: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(*keys)


def test_the_key_of_an_entry_is_hkdf_expand() -> None:
    """Another implementation of HKDF and AES-GCM opens a sealed part."""
    key = HKDFExpand(SHA256(), 32, b"candor/personal/v1\x00d-1").derive(b"\x01" * 32)
    sealed = SEALER.seal("d-1", b"an order")
    assert AESGCM(key).decrypt(sealed[1:13], sealed[13:], b"d-1") == b"an order"
