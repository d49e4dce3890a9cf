"""Commands that print this project's figures, alone or beside peers."""
