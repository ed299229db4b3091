"""`python -m turnout_server` and the console script `turnout`."""

import sys

from turnout_server.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
