"""Signs that a stream is not seen, or shows nothing to see: facts in, scores of the built-in detector `evasion` out.

Pure: no picture, no clock, no socket. A score is the share of its time for which a sign has lasted, so 1.0 means that
the definition is fulfilled.
"""
