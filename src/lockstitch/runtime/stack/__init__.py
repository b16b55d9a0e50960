"""Runs on the tools' own Python, never on lockstitch's: scripts, imported by nothing."""
