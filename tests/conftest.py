"""What holds for every test."""

from hypothesis import settings

# A slow or busy machine makes no test wrong.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
