"""`python -m prefrl` is `prefrl`."""

import sys

from prefrl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
