"""Launchers and configs of the experiments."""
