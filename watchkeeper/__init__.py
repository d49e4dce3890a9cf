"""The program: command line, settings, embedded services, process supervisor."""

__version__ = "0.1.0"
