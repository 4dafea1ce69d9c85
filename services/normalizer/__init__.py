"""Raw records to canonical state, and what changed: map, pair, merge, diff, one transaction."""
