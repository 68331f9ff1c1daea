"""Programs that fetch lists of URLs, side by side."""
