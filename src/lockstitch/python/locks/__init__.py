"""Locks of Python packages, one reader a format."""
