"""Fingerprints of environments: live, locked, or in an image."""
