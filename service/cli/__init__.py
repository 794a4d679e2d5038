"""The command `candor`: one module for each command, `output` for what they print.

Exit codes: 0 good, 1 the check failed or the command could not be done (printed why), 2 wrong
usage.
"""

from service.cli.application import application

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    application()
