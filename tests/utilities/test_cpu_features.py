import pytest

from nnunetv2.utilities.cpu_features import bf16_is_faster


@pytest.mark.parametrize(
    ("vendor", "flags", "faster"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("GenuineIntel", "avx512f avx512_bf16 avx512_fp16", False),
        ("AuthenticAMD", "avx512f avx512_bf16", True),
        ("AuthenticAMD", "avx2 fma", False),
    ],
)
def test_bf16_pays_with_amx_or_on_amd(vendor, flags, faster):
    assert bf16_is_faster(f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: fpu {flags}\n") is faster


def test_bf16_pays_on_arm_that_has_it():
    assert bf16_is_faster("processor : 0\nFeatures : fp asimd bf16 i8mm\n")
    assert not bf16_is_faster("processor : 0\nFeatures : fp asimd\n")
    assert not bf16_is_faster("")
