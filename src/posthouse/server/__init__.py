"""Builds everything, starts it and stops it."""
