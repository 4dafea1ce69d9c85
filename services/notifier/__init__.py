"""Events to subscribers: fans out, in order within a fulfillment; forgets nothing."""
