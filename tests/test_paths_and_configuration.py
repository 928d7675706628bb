import os

import pytest

from nnunetv2 import configuration
from nnunetv2.paths import EnvironmentPath, nnUNet_raw


def test_an_unset_folder_variable_equals_none_and_raises_only_when_used():
    assert nnUNet_raw == None  # noqa: E711  clients compare like this
    assert not nnUNet_raw
    assert repr(nnUNet_raw) == "<unset nnUNet_raw>"
    for use in (str, os.fspath, lambda p: os.path.join(p, "x")):
        with pytest.raises(RuntimeError, match="nnUNet_raw is not defined"):
            use(nnUNet_raw)


def test_a_folder_variable_set_after_the_import_is_seen(monkeypatch):
    monkeypatch.setenv("nnUNet_raw", "/data/raw")
    assert nnUNet_raw == "/data/raw"
    assert nnUNet_raw == EnvironmentPath("nnUNet_raw")
    assert os.path.join(nnUNet_raw, "Dataset001_X") == os.path.join("/data/raw", "Dataset001_X")
    assert nnUNet_raw.is_set() and nnUNet_raw.require() == nnUNet_raw.get() == "/data/raw"


def test_worker_counts_follow_the_environment(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "3")
    assert configuration.default_num_processes == 3
    monkeypatch.delenv("nnUNet_def_n_proc")
    assert configuration.default_num_processes == 8
    monkeypatch.setenv("nnUNet_n_proc_DA", "100000")
    assert configuration.default_n_proc_DA == configuration.available_cpus()
    assert configuration.ANISO_THRESHOLD == 3


def test_a_worker_count_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "many")
    with pytest.raises(ValueError, match="nnUNet_def_n_proc is 'many'"):
        configuration.num_processes()


def test_unknown_attributes_of_configuration_stay_errors():
    with pytest.raises(AttributeError):
        _ = configuration.default_number


def control_group(tmp_path, membership, **files):
    """A fake /sys/fs/cgroup (files by path, ``__`` for ``/``) and /proc/self/cgroup."""
    root = tmp_path / "cgroup"
    root.mkdir()
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "membership").write_text(membership)
    return str(root), str(tmp_path / "membership")


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/\n", {"cpu_DOT_max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu_DOT_max": "max 100000\n"}, None),
        ("0::/job/step\n", {"job__cpu_DOT_max": "400000 100000", "job__step__cpu_DOT_max": "800000 100000"}, 4),
        ("0::/job/step\n", {"job__cpu_DOT_max": "max 100000", "job__step__cpu_DOT_max": "200000 100000"}, 2),
        ("0::/../elsewhere\n", {"cpu_DOT_max": "300000 100000"}, 3),
        ("4:cpu,cpuacct:/docker/x\n1:memory:/y\n", {"cpu__cpu_DOT_cfs_quota_us": "250000"}, None),
        (
            "4:cpu,cpuacct:/docker/x\n",
            {"cpu,cpuacct__cpu_DOT_cfs_quota_us": "250000\n", "cpu,cpuacct__cpu_DOT_cfs_period_us": "100000\n"},
            2.5,
        ),
        ("4:cpu:/x\n", {"cpu__x__cpu_DOT_cfs_quota_us": "-1\n", "cpu__x__cpu_DOT_cfs_period_us": "100000\n"}, None),
        ("0::/\n", {}, None),
        ("nonsense\n", {"cpu_DOT_max": "rubbish"}, None),
    ],
)
def test_the_smallest_control_group_limit_on_the_way_up_counts(tmp_path, membership, files, limit):
    assert configuration.cgroup_cpu_limit(*control_group(tmp_path, membership, **files)) == limit


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert configuration.cgroup_cpu_limit(str(tmp_path), str(tmp_path / "absent")) is None


@pytest.mark.parametrize(("limit", "cpus"), [(None, 6), (2.5, 3), (0.3, 1), (64, 6)])
def test_available_cpus_are_those_of_affinity_and_control_group(monkeypatch, limit, cpus):
    monkeypatch.setattr(configuration.os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    monkeypatch.setattr(configuration, "cgroup_cpu_limit", lambda: limit)
    assert configuration.available_cpus() == cpus
