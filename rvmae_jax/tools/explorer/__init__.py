"""What the explorer shows, computed apart from the page that shows it."""
