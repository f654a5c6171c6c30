"""Protocols that both ends of ours speak: the readers here, the publishers and servers of the test card there."""
