"""A repository's files, read and understood, one subject a folder; knows no rule."""
