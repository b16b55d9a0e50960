"""Signatures of images, and the artifacts that refer to them."""
