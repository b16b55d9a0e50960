"""Python projects: what the user wrote, locks as they are read, the machine an image is for."""
