"""What benches are measured beside: each a process of its own on the machinery we use ourselves."""
