"""What checks an evidence bundle: Python's standard library only, joined into one `verify.py`.

Read `command` first: it runs the steps over a `container` (a zip or its unpacked folder).
`signatures` (`ed25519`) says who signed, `keychain` which key had to, `walk` goes along the log
once (`proofs`, `parts`, `disclosure`), `statement` counts, `artefacts` looks at models and tables,
`vouching` at timestamps and cosignatures, and `findings` keeps the verdicts. `assembly`, the only
module that is not part of the single file, joins the others. Nothing here may import anything of
Candor but its own neighbours.
"""

__all__ = [
    "artefacts",
    "assembly",
    "command",
    "container",
    "disclosure",
    "ed25519",
    "findings",
    "keychain",
    "parts",
    "proofs",
    "signatures",
    "statement",
    "vouching",
    "walk",
]
