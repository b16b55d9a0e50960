"""Images from a project and its lock."""
