"""The daemon process: assigns streams, keeps the books, delivers alerts. No pixels, ever."""
