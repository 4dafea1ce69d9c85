"""The simulated upstreams: every module in this folder is one, its file name is its id.

Each has `simulate(world, *, token, requests_per_second, page_size_max)` giving a Simulator.
"""
