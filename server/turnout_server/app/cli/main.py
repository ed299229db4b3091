"""Runs one command and turns its end into an exit status and one line of words.

0  done     1  the call failed     2  bad usage or configuration     130  interrupted
"""

import contextlib
import os
import sys
from collections.abc import Sequence

import grpc

from turnout_server.app.cli.call_failure import describe
from turnout_server.app.cli.complaint import Complaint, complain
from turnout_server.app.cli.parser import parser
from turnout_server.app.config.problem import ConfigError

FAILED = 1
BAD_USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name, the process's own by default."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigError as error:
        for problem in error.problems:
            complain(str(problem))
        return BAD_USAGE
    except Complaint as complaint:
        complain(str(complaint))
        return complaint.exit_status
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.CANCELLED:
            return INTERRUPTED
        complain(describe(error, options.address))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; without this Python complains of it at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
