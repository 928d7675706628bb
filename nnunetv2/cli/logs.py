"""Console logging of the commands. The library itself only calls ``logging.getLogger(__name__)``."""

from __future__ import annotations

import logging
import sys


class _StandardOutputHandler(logging.StreamHandler):
    """Writes to what ``sys.stdout`` is at that moment; notebooks and tests replace it after the first command."""

    stream = property(lambda self: sys.stdout, lambda self, value: None)


def configure_logging(verbose: bool = False) -> None:
    """Send the package's messages to standard output as plain lines: INFO and above, DEBUG with ``verbose``.

    Calling it again only changes the level.
    """
    package = logging.getLogger("nnunetv2")
    package.setLevel(logging.DEBUG if verbose else logging.INFO)
    if not package.handlers:
        handler = _StandardOutputHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
        package.propagate = False
