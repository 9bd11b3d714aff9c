"""Samples -> findings -> recommendations."""
