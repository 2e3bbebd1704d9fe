"""Doubles of services, for the tests of the host and of the plugins."""
