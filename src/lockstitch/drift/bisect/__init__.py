"""Finds by experiment which differences between two environments change a number."""
