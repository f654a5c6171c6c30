"""Motion inside a watcher: the pipeline of one stream, decode workers, the life of a stream."""
