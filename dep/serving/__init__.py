"""The server: OpenAI's API for a trained adapter, whose users are in a store."""
