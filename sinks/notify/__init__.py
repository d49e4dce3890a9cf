"""Tells people and other systems of alerts. `receivers` holds the ways to tell, one module each."""
