"""Everything pinned."""
