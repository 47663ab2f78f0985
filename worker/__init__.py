"""Runs one search: prepares, trains in a process of its own, exports, publishes."""
