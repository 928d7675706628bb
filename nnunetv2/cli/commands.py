"""How every command ends: with its work done, or with one readable error and exit status 1."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence

from nnunetv2.cli.logs import configure_logging
from nnunetv2.errors import NO_ROOM, NNUNetError


def command(main: Callable[[Sequence[str] | None], None]) -> Callable[..., None]:
    """Wrap ``main(argv=None)``: set up logging, and turn an NNUNetError into its message and exit status 1.

    Any other exception is a defect of ours and keeps its traceback. ``nnUNet_debug=1`` shows every traceback.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        configure_logging()
        try:
            main(argv)
        except NNUNetError as error:
            if os.environ.get("nnUNet_debug", "").lower() in ("1", "true", "t"):
                raise
            sys.stdout.flush()
            sys.stderr.write(f"Error: {error}\n")
            raise SystemExit(1) from error
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            sys.stdout.flush()
            sys.stderr.write(f"Error: {error}. Make room and run the same command again; what is finished is kept\n")
            raise SystemExit(1) from error
        except KeyboardInterrupt as error:
            sys.stderr.write("Interrupted.\n")
            raise SystemExit(130) from error

    return run
