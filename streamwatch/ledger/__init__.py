"""The durable record of alerts. The only room that imports sqlite3."""
