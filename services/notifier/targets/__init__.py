"""The folder is the registry: every module is a target, its file name is its `system`."""
