"""Project files, requirements and locks."""
