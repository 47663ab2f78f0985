"""Superstructures: built from the graph of groups, searched, shrunk to what is active, exported."""
