"""OCI images as values; knows nothing of Python projects."""
