"""Losses and gradients that are not finite: what is said, what is kept, and when the step is repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.errors import NonFiniteError
from nnunetv2.training import nonfinite, optimization
from nnunetv2.training.options import TrainingOptions
from tests.training.tiny_training import TinyTrainer, make_trainer


@pytest.fixture
def trainer(preprocessed, folders):
    return make_trainer(folders)


def spoiled_loss(trainer, epoch: int, step: int, value: float):
    """The loss of the trainer, times ``value`` in that step of that epoch whenever it is not computed in float32."""
    original, count = trainer._build_loss, [0]

    class Spoiled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.loss = original()

        def forward(self, output, target):
            loss = self.loss(output, target)
            if not trainer.network.training or trainer.current_epoch != epoch:
                return loss
            count[0] += 1
            return loss * value if count[0] == step + 1 else loss

    trainer._build_loss = Spoiled
    return count


def log_of(trainer) -> str:
    return Path(trainer.log_file).read_text()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_training_stops_with_epoch_iteration_cases_and_the_batch(trainer, value):
    spoiled_loss(trainer, 1, 1, value)
    batches = []
    step = trainer.train_step
    trainer.train_step = lambda batch: batches.append(batch) or step(batch)
    with pytest.raises(NonFiniteError) as caught:
        trainer.run_training()
    text, batch = str(caught.value), batches[-1]
    assert f"epoch 1, iteration 1: the loss is {value}" in text
    assert f"Cases of the batch: {', '.join(batch['keys'])}" in text
    assert "--nonfinite retry_f32" in text
    dumped = Path(trainer.output_folder, "nonfinite_epoch_1_iteration_1.npz")
    assert str(dumped) in text
    with np.load(dumped) as arrays:
        assert sorted(arrays) == ["data", "keys", "target_0", "target_1"]
        assert list(arrays["keys"]) == list(batch["keys"])
        np.testing.assert_array_equal(arrays["data"], batch["data"].numpy())
        np.testing.assert_array_equal(arrays["target_1"], batch["target"][1].numpy())
    # The weights that were saved are from before.
    saved = torch.load(Path(trainer.output_folder, "checkpoint_best.pth"), weights_only=True)
    assert saved["current_epoch"] == 1
    assert all(bool(torch.isfinite(tensor).all()) for tensor in saved["network_weights"].values())


def test_an_image_that_is_not_finite_is_named(trainer):
    trainer.on_train_start()
    batch = next(trainer.dataloader_train)
    batch["data"][1, 0, 2, 3, 4] = float("nan")
    with pytest.raises(NonFiniteError) as caught:
        trainer.train_step(batch)
    assert f"the image itself is not finite for {batch['keys'][1]} (1 values)" in str(caught.value)


def test_a_gradient_that_is_not_finite_is_an_error_though_the_loss_is(trainer):
    trainer.on_train_start()
    weight = next(parameter for name, parameter in trainer.network.named_parameters() if name.endswith("bias"))
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFiniteError, match=r"the norm of the gradient is (nan|inf) \(of encoder\.") as caught:
        trainer.train_step(next(trainer.dataloader_train))
    assert "the loss is" not in str(caught.value)


def with_retry(trainer):
    trainer.training_options = TrainingOptions(nonfinite="retry_f32")
    return trainer


def test_the_step_is_repeated_in_float32_when_asked_for(trainer, monkeypatch):
    with_retry(trainer)
    spoiled_loss(trainer, 1, 0, float("inf"))
    precisions = []
    forward = optimization.forward
    monkeypatch.setattr(optimization, "forward", lambda *args: precisions.append(args[-1]) or forward(*args))
    trainer.run_training()
    assert precisions.count("f32") == 1
    assert trainer.current_epoch == 2
    assert np.isfinite(trainer.logger.get_value("train_losses")).all()
    assert log_of(trainer).count("the step is repeated in float32") == 1
    assert "epoch 1, iteration 0: loss or gradient is not finite" in log_of(trainer)
    assert Path(trainer.output_folder, "nonfinite_epoch_1_iteration_0.npz").is_file()


def test_a_repeated_step_that_is_not_finite_either_ends_the_training(trainer):
    with_retry(trainer).on_train_start()
    batch = next(trainer.dataloader_train)
    batch["data"][0] = float("inf")
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    with pytest.raises(NonFiniteError, match="also in float32"):
        trainer.train_step(batch)
    assert before.keys() == trainer.network.state_dict().keys()


def test_only_the_first_batches_of_repeated_steps_are_kept(trainer, monkeypatch):
    with_retry(trainer).on_train_start()
    monkeypatch.setattr(nonfinite, "KEPT_BATCHES", 2)
    batch, norm = next(trainer.dataloader_train), torch.tensor(1.0)
    for iteration in range(4):
        trainer.position.iteration = iteration
        nonfinite.repeated_if_needed(trainer, batch, torch.tensor(float("nan")), norm)
    assert len(list(Path(trainer.output_folder).glob("nonfinite_*"))) == 2
    assert log_of(trainer).count("the step is repeated") == 4


class Scaler:
    """As torch's, with a scale that can be set."""

    def __init__(self, scale: float):
        self.scale_now = scale

    def is_enabled(self) -> bool:
        return True

    def get_scale(self) -> float:
        return self.scale_now


def test_gradients_that_overflow_are_left_to_the_loss_scaler_until_that_does_not_help(trainer):
    loss, norm = torch.tensor(0.5, requires_grad=True), torch.tensor(float("inf"))
    trainer.initialize()
    assert nonfinite.loss_on_host(trainer, {}, loss, norm, Scaler(2.0**16)) == np.float32(0.5)
    with pytest.raises(NonFiniteError, match="gradient"):
        nonfinite.loss_on_host(trainer, {}, loss, norm, Scaler(2.0**-17))
    with pytest.raises(NonFiniteError, match="gradient"):
        nonfinite.loss_on_host(trainer, {}, loss, norm, None)
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        nonfinite.loss_on_host(trainer, {}, loss * float("nan"), norm, Scaler(2.0**16))


@pytest.fixture
def scaled(trainer):
    """The trainer with the loss scaler of torch, which works on the CPU as on CUDA."""
    trainer.on_train_start()
    trainer.grad_scaler = torch.amp.GradScaler("cpu")
    return trainer


def weights_of(trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.network.parameters()]


def test_a_step_whose_scaled_gradients_overflow_is_left_out_as_ever(scaled):
    overflow = [True]
    weight = next(scaled.network.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf") if overflow else gradient)
    before, scale = weights_of(scaled), scaled.grad_scaler.get_scale()
    assert np.isfinite(scaled.train_step(next(scaled.dataloader_train))["loss"])
    assert all(torch.equal(a, b) for a, b in zip(before, weights_of(scaled)))
    assert scaled.grad_scaler.get_scale() == scale / 2
    overflow.clear()
    scaled.train_step(next(scaled.dataloader_train))
    assert not all(torch.equal(a, b) for a, b in zip(before, weights_of(scaled)))


def test_with_a_loss_scaler_a_repeated_step_is_made_without_it(scaled, monkeypatch):
    with_retry(scaled)
    scaled.position.iteration = 0
    forward, calls = optimization.forward, []

    def half(*args):
        calls.append(args[-1])
        output, loss = forward(*args)
        return output, loss if args[-1] == "f32" else loss * float("nan")

    monkeypatch.setattr(optimization, "forward", half)
    before, scale = weights_of(scaled), scaled.grad_scaler.get_scale()
    assert np.isfinite(scaled.train_step(next(scaled.dataloader_train))["loss"])
    assert calls == [None, "f32"]
    assert scaled.grad_scaler.get_scale() == scale / 2
    after = weights_of(scaled)
    assert not all(torch.equal(a, b) for a, b in zip(before, after))
    assert all(bool(torch.isfinite(weight).all()) for weight in after)


def test_a_batch_that_cannot_be_kept_does_not_hide_the_error(trainer, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nonfinite.np, "savez", full)
    with pytest.raises(NonFiniteError, match=r"could not be written \(.*the disk is full") as caught:
        nonfinite.require_finite_output(trainer, {"keys": ["a"], "data": torch.zeros(1)}, {"loss": np.float32("nan")})
    assert "Cases of the batch: a" in str(caught.value)


def test_losses_of_a_trainers_own_step_are_looked_at_too(preprocessed, folders):
    class Own(TinyTrainer):
        def train_step(self, batch):
            return {"loss": super().train_step(batch)["loss"] * np.float32("nan")}

    with pytest.raises(NonFiniteError, match="epoch 0, iteration 0: the loss is nan"):
        make_trainer(folders, Own).run_training()


def test_in_validation_it_is_a_warning_since_nothing_is_learned_from_it(preprocessed, folders):
    class Own(TinyTrainer):
        num_epochs = 1

        def validation_step(self, batch):
            return super().validation_step(batch) | {"loss": np.asarray(np.float32("inf"))}

    trainer = make_trainer(folders, Own)
    trainer.run_training()
    assert "WARNING: epoch 0, validation iteration 1: the loss is inf. Cases of the batch: tiny_0" in log_of(trainer)
