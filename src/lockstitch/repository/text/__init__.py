"""Text files of any kind: places, edits, patterns, names of images."""
