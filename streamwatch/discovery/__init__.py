"""Who is live? One file per kind of origin."""
