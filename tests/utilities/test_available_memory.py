import pytest

from nnunetv2.errors import MemoryLimitError
from nnunetv2.utilities.available_memory import available_memory, require_memory, workers_that_fit

GIB = 2**30


def machine(tmp_path, **files):
    for name, content in files.items():
        path = tmp_path / {"meminfo": "proc/meminfo"}.get(name, f"sys/fs/cgroup/{name.replace('__', '/', 1)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


MEMINFO = "MemTotal:       32000000 kB\nMemAvailable:   16000000 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": MEMINFO}, 16000000 * 1024),
        ({"meminfo": MEMINFO, "memory.max": "max\n", "memory.current": "5\n"}, 16000000 * 1024),
        ({"meminfo": MEMINFO, "memory.max": f"{4 * GIB}\n", "memory.current": f"{GIB}\n"}, 3 * GIB),
        ({"memory__memory.limit_in_bytes": f"{4 * GIB}", "memory__memory.usage_in_bytes": f"{GIB}"}, 3 * GIB),
        ({"meminfo": MEMINFO, "memory__memory.limit_in_bytes": f"{2**63 - 4096}"}, 16000000 * 1024),
        ({}, None),
    ],
)
def test_the_tighter_of_machine_and_control_group_counts(tmp_path, files, expected):
    assert available_memory(machine(tmp_path, **files)) == expected


def test_as_many_workers_as_fit_are_used_and_fewer_are_announced(caplog):
    with caplog.at_level("INFO", logger="nnunetv2"):
        assert workers_that_fit(8, GIB, "Preprocessing X", memory=6 * GIB) == 4
    assert "Preprocessing X: 4 instead of 8 processes" in caplog.text
    caplog.clear()
    assert workers_that_fit(8, GIB, "Preprocessing X", memory=60 * GIB) == 8
    assert workers_that_fit(8, 50 * GIB, "Preprocessing X", memory=6 * GIB) == 1
    assert workers_that_fit(1, 50 * GIB, "Preprocessing X", memory=6 * GIB) == 1


def test_only_what_exceeds_all_memory_and_swap_is_refused(tmp_path, monkeypatch):
    root = machine(tmp_path, meminfo=MEMINFO + "SwapTotal: 1000000 kB\n")
    require_memory(33_000_000 * 1024, "the image", "Crop it", root)  # more than is available now
    with pytest.raises(MemoryLimitError, match=r"image needs at least 31\.5 GiB .*30\.5 GiB and 976\.6 MiB of swap"):
        require_memory(33_000_001 * 1024, "the image", "Crop it", root)
    monkeypatch.setenv("nnUNet_ignore_resources", "1")
    require_memory(33_000_001 * 1024, "the image", "Crop it", root)


def test_the_limit_of_the_control_group_counts_and_nothing_is_refused_where_nothing_is_known(tmp_path):
    require_memory(1 << 60, "the image", "Crop it", tmp_path)
    root = machine(tmp_path, meminfo=MEMINFO, **{"memory.max": f"{4 * GIB}\n", "memory.current": f"{4 * GIB}\n"})
    require_memory(4 * GIB, "the image", "Crop it", root)  # what is in use may be given back
    with pytest.raises(MemoryLimitError, match=r"Crop it, or set nnUNet_ignore_resources=1"):
        require_memory(4 * GIB + 1, "the image", "Crop it", root)
