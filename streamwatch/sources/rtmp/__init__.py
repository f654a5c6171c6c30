"""RTMP without a thread a stream: what nobody will look at is passed by where it lies."""
