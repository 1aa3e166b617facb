"""Measures the agent on simulated modems; every figure of the documentation comes from here."""
