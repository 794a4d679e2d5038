"""A witness of our own making: it cosigns whatever it is shown."""

from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import build_key_id, split_note
from audit.cosignature import COSIGNATURE, cosigned_message


class Witness:
    """Signs checkpoints with a time."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public_key = self._key.public_key().public_bytes_raw()
        self.key_id = build_key_id(name, public_key, COSIGNATURE)
        encoded = b64encode(COSIGNATURE + public_key).decode()
        self.vkey = f"{name}+{self.key_id.hex()}+{encoded}"

    def line(self, note: str, at_seconds: int = 1_790_000_000) -> str:
        body, _ = split_note(note)
        signature = self._key.sign(cosigned_message(body, at_seconds))
        blob = self.key_id + at_seconds.to_bytes(8, "big") + signature
        return f"— {self.name} {b64encode(blob).decode()}\n"
