"""What became of each notification, by the server's own reports."""
