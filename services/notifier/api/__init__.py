"""Subscriptions over HTTP, `/v1`: every copy of the notifier serves all of it."""
