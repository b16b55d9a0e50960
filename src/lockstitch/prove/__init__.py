"""Proof: the same images and the same model in another world, or the name of what differs."""
