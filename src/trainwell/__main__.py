"""`python -m trainwell`: the command line."""

import sys

from trainwell.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
