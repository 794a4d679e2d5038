"""Another processor, as far as this one can pass for it: its newer instructions switched off."""

import os
import platform
import subprocess
import sys
from typing import Final

import pytest

# Fused multiply-add and wide vectors: what the C library, NumPy and OpenBLAS choose their code by.
_OFF: Final = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 F16C",
    "OPENBLAS_CORETYPE": "Prescott",
}
# An exponential that ends in another bit without fused multiply-add.
_SHOWN: Final = """
import math
from models.loaded import present_runtime
print(math.exp(float.fromhex("-0x1.6890325fc6410p+1")).hex(), present_runtime().cpu)
"""


def switched_off() -> dict[str, str]:
    """Return the environment of a process that does without, or skip where that shows nothing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("instructions cannot be switched off here")
    shown = [
        subprocess.run(
            [sys.executable, "-c", _SHOWN],
            env={**os.environ, **off},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split(maxsplit=1)
        for off in ({}, _OFF)
    ]
    if any(before == after for before, after in zip(*shown, strict=True)):
        pytest.skip("this processor or C library has no other way to go")
    return dict(_OFF)
