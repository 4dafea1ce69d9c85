"""Channel `stream`: the subscriber reads by itself, over HTTP."""
