"""Virtual environments: their packages, and programs found in them or on PATH."""
