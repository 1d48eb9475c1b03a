"""Where the `tidemark` command begins: it says what to install where the Python client is there alone."""

import sys
from importlib import import_module

from scheduler.cli.exit_codes import FAILED
from scheduler.cli.missing_package import describe_missing_package


def main() -> int:
    """Run the command, or name the extras that hold it."""
    try:
        command = import_module("scheduler.cli.main")
    except ModuleNotFoundError as error:
        message = describe_missing_package(error)
        if message is None:
            raise
        sys.stderr.write(f"tidemark: {message}\n")
        return FAILED
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
