"""The folder is the registry: every module serves one part, its `router(context)` says which."""
