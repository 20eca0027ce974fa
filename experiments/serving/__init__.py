"""The server under load, under canaries and under SIGKILL: `python -m experiments.serving canaries|load|kill`."""
