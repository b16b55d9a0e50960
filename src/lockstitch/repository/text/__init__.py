"""Texts of any kind: lines and edits, YAML, ignore patterns, names of images."""
