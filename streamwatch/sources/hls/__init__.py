"""HLS: asyncio, the lowest rendition that suffices, the head of a segment where one look is enough."""
