"""Peers: models of another library, fitted in an environment of its own, measured by our metric code."""
