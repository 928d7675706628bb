"""Work is shared among as many threads as torch has, and errors come back."""

import os
import threading

import pytest
import torch

from nnunetv2.networks.shared_work import share
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_torch_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_every_piece_is_done_once_with_one_torch_thread_and_no_gradients(threads):
    done, seen = [], set()

    def work(pieces):
        for piece in pieces:
            done.append(piece)
            seen.add((torch.get_num_threads(), torch.is_grad_enabled()))

    with borrowed_torch_threads(threads), torch.inference_mode():
        share(range(100), work)
        assert torch.get_num_threads() == threads
    assert sorted(done) == list(range(100)) and seen == {(1, False)}


def test_an_exception_reaches_the_caller():
    def work(pieces):
        for piece in pieces:
            if piece == 5:
                raise ValueError("the fifth")

    with borrowed_torch_threads(2):
        with pytest.raises(ValueError, match="the fifth"):
            share(range(10), work)
        share(range(3), lambda pieces: list(pieces))


def test_two_callers_at_once_do_not_wait_for_each_other_forever():
    sums = []

    def work(pieces):
        sums.append(sum(pieces))

    with borrowed_torch_threads(2):
        callers = [threading.Thread(target=lambda: share(range(1000), work)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(20)
    assert sum(sums) == 4 * sum(range(1000))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_makes_threads_of_its_own():
    with borrowed_torch_threads(2):
        share(range(4), list)
        child = os.fork()
        if child == 0:
            share(range(4), list)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
