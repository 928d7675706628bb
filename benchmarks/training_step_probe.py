"""Times training steps of whatever nnunetv2 is installed beside this Python: ``training_step_probe.py JOB RESULT``.

Run by ``training_step.py``; uses only names that both implementations have. JOB and RESULT are JSON files.
"""

import json
import sys
import time
from pathlib import Path

import torch


def make_trainer(job: dict):
    """The default trainer for the plans of the job, initialized, with the weights of the job where it names some."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans = dict(job["plans"], continue_training=False)
    trainer = nnUNetTrainer(plans, job["configuration"], "all", job["dataset_json"], device=torch.device("cpu"))
    for name, value in job["attributes"].items():
        setattr(trainer, name, value)
    torch.manual_seed(0)
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)
    weights = Path(job["weights"])
    if weights.exists():
        trainer.network.load_state_dict(torch.load(weights, weights_only=True))
    else:
        torch.save(trainer.network.state_dict(), weights)
    return trainer


def random_batch(job: dict, generator: torch.Generator) -> dict:
    """A smooth random image whose bright part is the label, so that there is something to learn."""
    patch, batch = job["patch"], job["batch"]
    coarse = torch.randn((batch, 1, *(max(2, n // 8) for n in patch)), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=tuple(patch), mode="trilinear")
    label = (smooth > 0.6).to(torch.int16)
    image = smooth + 0.5 * torch.randn(smooth.shape, generator=generator)
    return {"data": image, "target": [label[:, :, :: 2**i, :: 2**i, :: 2**i].contiguous() for i in range(3)]}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    trainer = make_trainer(job)
    trainer.network.train()
    generator = torch.Generator().manual_seed(1)
    losses, seconds, cpu_seconds = [], [], []
    for _ in range(job["steps"]):
        batch = random_batch(job, generator)
        start, cpu_start = time.perf_counter(), time.process_time()
        losses.append(float(trainer.train_step(batch)["loss"]))
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    Path(sys.argv[2]).write_text(json.dumps({"losses": losses, "seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main()
