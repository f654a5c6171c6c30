"""What a process gives up before its first outside byte, and the report of what is in force."""
