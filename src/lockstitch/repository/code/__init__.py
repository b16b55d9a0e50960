"""Python code of scripts and notebooks."""
