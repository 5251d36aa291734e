"""Compares query strategies; the same as `prefrl bench`."""

import sys

from prefrl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
