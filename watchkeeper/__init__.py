"""The program: command line, settings, embedded services, process supervisor."""
