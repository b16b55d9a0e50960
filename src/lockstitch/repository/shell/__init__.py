"""Shell text as the commands that it runs."""
