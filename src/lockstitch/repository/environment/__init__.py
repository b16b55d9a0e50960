"""Virtual environments, read from their files."""
