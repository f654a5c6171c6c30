"""The proof that no picture leaves a watcher: `scripts/prove-no-footage`. A check, not a part of the product."""
