"""The stack in containers: the compose file, and what runs it."""
