"""One noun or verb a file: `NAME`, and `run` or, where a noun has verbs, `app`."""
