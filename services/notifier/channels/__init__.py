"""The folder is the registry: every module is a channel, its file name is the channel's type."""
