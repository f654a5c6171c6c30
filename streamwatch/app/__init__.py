"""One composition file per process: the only files that know every concrete class."""
