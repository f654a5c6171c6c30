"""Which watcher holds which stream; start, heartbeat, restart, quarantine."""
