"""Asks upstreams, writes what changed to raw and moves cursors, both in one transaction."""
