"""Python projects: pyproject.toml, targets, locks."""
