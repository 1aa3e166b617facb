"""The real gateway, from the dispatcher to the ports, on modems that are pulled, swapped, broken under traffic."""
