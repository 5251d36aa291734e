"""`python -m prefrl` is `prefrl`: the command line, from its imports to the process's end."""

import signal
import sys


def main() -> int:
    """Runs the command that the process was started with; returns its exit status."""
    try:
        # Here, as it takes a second: whoever stops the command by then sees no traceback, either.
        from prefrl.cli.ending import say_failures_in_lines
        from prefrl.cli.main import main as command_line

        status = command_line()
        if "--debug" not in sys.argv:
            say_failures_in_lines()  # what threads and destructors of others do after the command
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    # Stopped once more while it tidies up, the process ends at once, without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return status


if __name__ == "__main__":
    sys.exit(main())
