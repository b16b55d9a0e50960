"""Proof that images and models are the same when built and trained elsewhere, or what differs."""
