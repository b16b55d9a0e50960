"""The real services, one file each."""
