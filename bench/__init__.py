"""Benchmarks: each prints a table and JSON lines; long ones are resumable. Not part of the tests."""
