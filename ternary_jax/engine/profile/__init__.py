"""Where the time and the memory of a training go: a trace of its chunk, read by the scopes of the compiled program."""
