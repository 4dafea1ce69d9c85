"""For people: the command line over the same topics.  Owns no state and no topic."""
