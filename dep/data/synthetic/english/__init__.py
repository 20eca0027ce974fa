"""The English world: reviews in ordinary English whose facts and traits are known, drawn from phrases in text files."""
