"""Sealed parts open for their entry and key only."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import SealBrokenError
from audit.seal import HEAD_SIZE_BYTES, Sealer
from tests.audit.sample import OWNER, SEALER, UNHURRIED, DerivedKeys

KEYS = DerivedKeys(b"\x01" * 32)


@settings(**UNHURRIED)
@given(st.text(max_size=40), st.binary(max_size=300), st.binary(max_size=80))
def test_what_is_sealed_opens_for_its_entry(entry_id: str, plain: bytes, names: bytes) -> None:
    """Sealing and opening are inverse, and the sealed bytes are new each time."""
    part = SEALER.seal(entry_id, OWNER, plain, names)
    opened = SEALER.open_part(entry_id, part.content)
    assert (opened.plaintext, opened.identifiers) == (plain, names)
    assert opened.commitment == part.commitment
    assert SEALER.open(entry_id, part.content) == plain
    again = SEALER.seal(entry_id, OWNER, plain, names)
    assert (again.content, again.commitment) != (part.content, part.commitment)
    assert part.digest == sha256(part.content).hexdigest()


def test_any_changed_byte_breaks_the_seal() -> None:
    sealed = SEALER.seal("d-1", OWNER, b"an order").content
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBrokenError):
            SEALER.open("d-1", bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(SealBrokenError):
            SEALER.open("d-1", sealed[:length])


def test_another_entry_or_key_does_not_open_it() -> None:
    sealed = SEALER.seal("d-1", OWNER, b"an order").content
    with pytest.raises(SealBrokenError):
        SEALER.open("d-2", sealed)
    with pytest.raises(SealBrokenError):
        Sealer(DerivedKeys(b"\x03" * 32), b"\x02" * 32).open("d-1", sealed)


def test_a_part_of_the_former_form_is_named_so() -> None:
    with pytest.raises(SealBrokenError, match="form that this version reads"):
        SEALER.open("d-1", b"\x01" + bytes(100))


def test_stored_bytes_do_not_say_which_parts_are_one_owners() -> None:
    """The handle differs each time, and gives the key's id back to who has the look-up key."""
    sealed = [SEALER.seal("d-1", OWNER, b"").content for _ in range(20)]
    assert len({part[13:HEAD_SIZE_BYTES] for part in sealed}) == 20
    assert {SEALER.key_id(part[:HEAD_SIZE_BYTES]) for part in sealed} == {KEYS.key_of(OWNER).key_id}


def test_keyed_hashes_differ_by_domain_value_and_key() -> None:
    other = Sealer(KEYS, b"\x03" * 32)
    hashes = {
        SEALER.keyed_hash("order", "a"),
        SEALER.keyed_hash("order", "b"),
        SEALER.keyed_hash("subject", "a"),
        SEALER.keyed_hash("order", "\ud800"),
        other.keyed_hash("order", "a"),
    }
    assert len(hashes) == 5
    assert SEALER.keyed_hash("order", "a") in hashes


def test_a_look_up_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(KEYS, bytes(31))


def test_the_form_is_aes_gcm_with_the_salt_inside() -> None:
    """Another implementation of AES-GCM opens a part and finds what the header commits to."""
    part = SEALER.seal("d-1", OWNER, b"an order", b"{}")
    key = KEYS.key_of(OWNER).key
    inside = AESGCM(key).decrypt(part.content[1:13], part.content[HEAD_SIZE_BYTES:], b"d-1")
    assert inside[32:] == b"\x00\x00\x00\x02{}an order"
    assert part.commitment == sha256(inside).hexdigest()
