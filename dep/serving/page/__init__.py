"""The page of a finished run: a user's reviews, texts side by side, and a blind test (`dep page`)."""
