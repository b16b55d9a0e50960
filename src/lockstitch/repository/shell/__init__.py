"""Reads shell text into the commands that it runs."""
