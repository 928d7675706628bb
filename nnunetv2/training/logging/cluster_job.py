"""Which job of a compute cluster a training runs in."""

from __future__ import annotations

import os

# Slurm, and LSF.
VARIABLES = ("SLURM_JOB_ID", "LSB_JOBID")


def job_id() -> str | None:
    """Id that the scheduler gave the job (Slurm before LSF); None outside a job."""
    return next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None)
