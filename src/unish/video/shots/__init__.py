"""Where one shot ends and the next one begins: hard cuts, and changes that take time."""
