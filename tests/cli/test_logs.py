"""Messages of the commands reach the standard output of the moment."""

import contextlib
import io
import logging

from nnunetv2.cli.logs import configure_logging


def test_messages_follow_a_standard_output_that_is_replaced_later():
    configure_logging()
    for _ in range(2):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            logging.getLogger("nnunetv2.anything").info("measured %d cases", 3)
        assert output.getvalue() == "measured 3 cases\n"
        output.close()
