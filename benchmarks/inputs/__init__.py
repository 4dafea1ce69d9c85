"""What benches are fed with: made by the testbed from a seed, the same in every run."""
