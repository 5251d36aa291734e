"""Options that benchmark scripts share; imports nothing heavy."""

import argparse
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Complains in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def number_above_0(word: str) -> int:
    """Reads an option's whole number, 1 or more."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number, 1 or more")
    return int(word)
