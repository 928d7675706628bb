"""Signals arrive after a model is gone, too."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nnunetv2.inference.engines.openvino_engine import installed

FREED_ELSEWHERE = """
import gc, os, signal, threading
import torch
from nnunetv2.inference.engines.openvino_engine import OpenVINOEngine
from tests.inference.engines.conftest import small_unet, states

kept = [OpenVINOEngine(small_unet(), states(1), "f32")]
kept[0].predict(0, torch.randn(1, 2, 16, 16, 16))
signal.signal(signal.SIGTERM, lambda *_: print("arrived"))

def free():
    kept.clear()
    gc.collect()

thread = threading.Thread(target=free)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
@pytest.mark.skipif(not installed() or sys.platform == "win32", reason="needs OpenVINO and signals")
def test_a_signal_arrives_when_another_thread_has_freed_the_last_model():
    process = subprocess.run([sys.executable, "-c", FREED_ELSEWHERE], capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stdout) == (0, "arrived\n"), process.stderr
