"""What a user imports: the Python client and the command line."""
