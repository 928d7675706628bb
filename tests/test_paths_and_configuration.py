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
    assert configuration.default_n_proc_DA == os.cpu_count()
    assert configuration.ANISO_THRESHOLD == 3


def test_a_worker_count_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "many")
    with pytest.raises(ValueError, match="nnUNet_def_n_proc is 'many'"):
        configuration.num_processes()


def test_unknown_attributes_of_configuration_stay_errors():
    with pytest.raises(AttributeError):
        _ = configuration.default_number
