"""Programs of their own: standard library only, some of them on the project's interpreter."""
