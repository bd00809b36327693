"""What holds for every test."""

from hypothesis import settings

from collector.warm_up import warm_up

# A slow or busy machine makes no test wrong.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_sessionstart() -> None:
    """Compile first, so that no test waits for it."""
    warm_up()
