"""Faults, on purpose: what the machine may do to a sweep, done to real ones. `make chaos`."""
