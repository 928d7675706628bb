"""What the CPU can multiply fast, read from what the system says about it."""

from __future__ import annotations

import platform
from functools import lru_cache


def bf16_is_faster(description: str) -> bool:
    """Whether bfloat16 products are faster than float32 ones, given the text of ``/proc/cpuinfo``.

    True with AMX (Intel since Sapphire Rapids), AVX-512 BF16 on AMD (twice the float32 rate since Zen 4) and BF16 on
    ARM. Intel's AVX-512 BF16 without AMX, as in virtual machines that hide it, is slower than its float32: 81 against
    152 GFLOP/s per core were measured on a Xeon of model 207.
    """
    flags: set[str] = set()
    vendor = ""
    for line in description.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags |= set(value.split())
        elif key.strip() == "vendor_id":
            vendor = value.strip()
    return "amx_bf16" in flags or ("avx512_bf16" in flags and vendor == "AuthenticAMD") or "bf16" in flags


@lru_cache(maxsize=1)
def this_cpu_prefers_bf16() -> bool:
    """``bf16_is_faster`` of this machine; False where it does not say, which is everywhere but on Linux."""
    if platform.system() != "Linux":
        return False
    with open("/proc/cpuinfo") as file:
        return bf16_is_faster(file.read())
