"""What rules that a sensible installation has say of faults, of what only looks like one, and of nothing at all."""
