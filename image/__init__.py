"""Builds, personalises, flashes and checks the image of the card; imports nothing of the agent, but installs it."""
