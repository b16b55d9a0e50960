"""Programs that run in an environment of the user: its own packages, and no code of ours."""
