"""Console logging of the commands. The library itself only calls ``logging.getLogger(__name__)``."""

from __future__ import annotations

import logging
import sys


def configure_logging(verbose: bool = False) -> None:
    """Send the package's messages to standard output as plain lines: INFO and above, DEBUG with ``verbose``.

    Calling it again only changes the level.
    """
    package = logging.getLogger("nnunetv2")
    package.setLevel(logging.DEBUG if verbose else logging.INFO)
    if not package.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
        package.propagate = False
