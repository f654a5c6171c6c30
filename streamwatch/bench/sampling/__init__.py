"""`streamwatch bench sampling`: what the sampler finds and costs, simulated with the code that runs."""
