"""Networks, checkpoints and the runtimes that step them."""
