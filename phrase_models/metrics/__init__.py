"""Metrics: pure functions on numpy arrays, each with formula, source and undefined case."""
