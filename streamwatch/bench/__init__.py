"""The benchmark: real publishers, ingest server and broker around the real daemon, measured from outside."""
