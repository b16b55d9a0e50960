"""Rendered Dockerfiles, and the engines that build from them."""
