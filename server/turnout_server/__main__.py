"""`python -m turnout_server` and the console script `turnout`."""

import os
import sys

# Read by grpc when it is imported: processes are started by exec, and its fork handlers only warn.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # noqa: TID251  before any import
# Its own lines would stand among ours, one for every stranger who speaks no TLS; what matters is
# raised as well.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # noqa: TID251  before any import

from turnout_server.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
