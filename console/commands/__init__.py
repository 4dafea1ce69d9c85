"""One noun or verb a file: `NAME` and `run`."""
