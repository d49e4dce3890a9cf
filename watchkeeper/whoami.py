"""Who gives a command."""

import getpass
import os
import socket


def whoami() -> str:
    """Who decides, as it is noted with each version: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a number that no list of users names.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:256]
