"""How many files and connections the process may have open."""

import resource

_ENOUGH = 65_536


def raise_limit() -> None:
    """Take as many descriptors as this user may have: shells give 1,024, fewer than there may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
