"""The outside world, simulated: upstreams, a webhook subscriber and an independent audit.

Imports nothing of ours, so that it cannot share our mistakes.
"""
