"""The messages between daemon and watcher: frozen, bounded, validated on arrival."""
