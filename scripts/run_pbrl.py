"""Learns a task from preferences; the same as `prefrl run`."""

import sys

from prefrl.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
