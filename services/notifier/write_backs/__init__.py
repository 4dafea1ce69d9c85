"""Fulfilling in other systems what shipped: from an event to one call, and what came of it."""
