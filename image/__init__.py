"""Builds, personalises, flashes and checks the SD-card image. Imports nothing of the agent: it installs its wheel."""
