"""Flags that several commands share, defined once."""

from __future__ import annotations

import argparse

from nnunetv2.configuration import num_processes


def command_parser(name: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Parser of command ``name``; unambiguous prefixes of long options are accepted, as users' scripts rely on it."""
    return argparse.ArgumentParser(
        prog=name, description=description, epilog=epilog, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def fold(text: str) -> int | str:
    """Type of a fold argument: ``all``, or a number."""
    return text if text == "all" else int(text)


def add_processes(parser: argparse.ArgumentParser, *flags: str, what: str, default: int | None = None) -> None:
    """Add a worker count: ``flags`` (default ``-np``), used for ``what``; default is ``nnUNet_def_n_proc`` or 8."""
    parser.add_argument(
        *(flags or ("-np",)),
        type=int,
        default=num_processes() if default is None else default,
        help=f"number of processes for {what}; 0 or 1 works in this process",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``-device``: cuda, cpu or mps."""
    parser.add_argument(
        "-device",
        type=str,
        default="cuda",
        choices=("cpu", "cuda", "mps"),
        help="where the network runs; choose among GPUs with CUDA_VISIBLE_DEVICES=X",
    )


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add ``--executor``."""
    parser.add_argument(
        "--executor",
        type=str,
        default=None,
        metavar="dask://HOST:PORT",
        help="work on the workers of this dask scheduler, which see the same folders, instead of this machine",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add ``--verbose``."""
    parser.add_argument("--verbose", action="store_true", help="print more details")


def add_no_progress_bar(parser: argparse.ArgumentParser, flag: str = "--no_pbar") -> None:
    """Add the switch that turns progress bars off (``--no_pbar`` or ``--disable_progress_bar``)."""
    parser.add_argument(flag, action="store_true", help="no progress bars (for log files)")


def add_trust_pickle(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-pickle``; the command reads checkpoints inside ``configuration.trusting_pickles``."""
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help="also load checkpoints that hold more than tensors and plain values: those can run code on this machine",
    )
