"""Virtual environments: what is installed in them, and programs found in them or on PATH."""
