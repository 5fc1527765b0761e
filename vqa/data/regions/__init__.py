"""Published region features: the files that hold them, and how they come to stand beside a store."""
