"""Who may ask: HTTP for everything that Watchkeeper knows and takes in."""
