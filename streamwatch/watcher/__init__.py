"""The watcher process: the only place where pixels exist."""
