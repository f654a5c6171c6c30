"""The fallback: FFmpeg's demuxers through PyAV, one thread a stream, for everything that has no reader of our own."""
