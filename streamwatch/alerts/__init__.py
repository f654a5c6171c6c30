"""The alert desk: opened, updated, closed; verdicts; the documents people receive."""
