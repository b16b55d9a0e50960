"""Runs on the tools' own Python, never on lockstep's: scripts, imported by nothing."""
