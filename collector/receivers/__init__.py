"""Transports: each turns what comes in into a Request, and the outcome into its client's answer."""
