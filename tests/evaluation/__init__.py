"""Tests of genjax.evaluation."""
