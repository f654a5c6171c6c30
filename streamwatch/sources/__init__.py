"""Ways of reading a stream, and the decoder. The only room, with testcard, that imports av."""
