"""The audit log: what was decided, by whom and with what, in lines that hold each other."""
