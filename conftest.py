"""Settings for the tests of all distributions."""

from hypothesis import HealthCheck, settings

# How long an example takes says what else the machine is doing.
settings.register_profile("ragcore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ragcore")
