"""`python -m watchkeeper` is the same program as `watchkeeper`."""

from watchkeeper.cli import main

main()
