"""The paths, one module for each thing that is asked for."""
