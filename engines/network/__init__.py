"""The networks of HMMR made causal, in torch, and their weights on disk."""
