"""One locked environment, the same on a laptop, in CI and in an image."""

__version__ = "0.2.0"
__all__ = ["__version__"]
