"""Benchmarks: the store beside its peers, one thread, each peer in a process of its own."""
