"""From texts to numbers: metrics, what is significant, and the report."""
