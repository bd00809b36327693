"""The API keys that count, held in memory: a request asks no database.

Theory of operation. All keys that are not revoked are here, so one that is not here is refused with one look-up and one
hash: a flood of wrong keys fills no cache and reaches no database. A thread asks the database every REFRESH_S whether
keys were made or revoked; while that can't be read, what was read last counts, and the log says so. A key is looked up
by its prefix, which is no secret; its hash is compared in constant time, with another one where the prefix is unknown.

While no key was ever made, everybody is admitted, if the server may be open at all. Once there was a key the door is
shut for good: neither a revocation nor a registry that is replaced opens it again.
"""

import logging
import math
import threading
import time
from collections import Counter
from hmac import compare_digest

from collector.access import ANYBODY, Caller
from collector.component import PermissionDeniedError, RateError, UnauthenticatedError
from schemas.scopes import ALL, Scope, Scopes
from server.rates import TokenBucket
from storage.registry.api_keys import PREFIX_CHARS, ApiKey, ApiKeys, Rates, digest_of
from storage.registry.errors import RegistryError

# A key that was revoked is refused after so long at most, and a query's time.
REFRESH_S = 1.0
# For so long a reading waits for who writes; and one that takes longer waits for a disk that does not answer.
BUSY_TIMEOUT_MS = 2_000
READ_S_MAX = 5.0
KEY_CHARS_MAX = 256
STOP_S_MAX = 10.0
_NO_DIGEST = bytes(32)

logger = logging.getLogger(__name__)


class KeyRing:
    """Who may call. ``refused`` counts refusals by reason. ``admit`` and callers are for one thread, the event loop's.

    ``rates`` are those of keys that have none of their own; 0 or None is no limit. Where ``may_be_open`` is false, all
    are refused while there is no key.
    """

    def __init__(self, keys: ApiKeys, *, rates: Rates, may_be_open: bool) -> None:
        self._keys = keys
        self._rates = rates
        self._may_be_open = may_be_open
        self._callers: dict[str, _KeyHolder] = {}
        self._stamp = (0, 0, 0)
        self._problem = ""
        self._read_at_s = time.monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused: Counter[str] = Counter()
        self.is_open = may_be_open
        self._read()

    def start(self) -> None:
        """Begin to follow what is made and revoked."""
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; safe twice or without ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
        self._keys.close()

    def admit(self, key: str, any_of: Scopes) -> Caller:
        """Return who calls with the key, as ``Access`` says."""
        if self.is_open:
            return ANYBODY
        holder = self._holder(key)
        if holder.scopes.isdisjoint(any_of):
            self.refused["permission_denied"] += 1
            raise PermissionDeniedError(
                f"API key {holder.prefix} has the scope {_listed(holder.key.scopes)}; this needs {_listed(any_of)}"
            )
        try:
            holder.take_request(time.monotonic())
        except RateError:
            self.refused["rate"] += 1
            raise
        return holder

    def _holder(self, key: str) -> "_KeyHolder":
        if not key:
            self.refused["unauthenticated"] += 1
            raise UnauthenticatedError(
                "an API key is needed: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
            )
        holder = self._callers.get(key[:PREFIX_CHARS])
        is_it = compare_digest(digest_of(key[:KEY_CHARS_MAX]), holder.digest if holder else _NO_DIGEST)
        if holder is None or not is_it or time.time() >= holder.expires_at_s:
            self.refused["unauthenticated"] += 1
            raise UnauthenticatedError("the API key is not known, is revoked or has expired")
        return holder

    def warnings(self) -> tuple[str, ...]:
        """Return that the keys can't be read, where it is so: what was made or revoked since does not count yet."""
        if self._problem:
            return ("the API keys can't be read, those read before count; the server's log says why",)
        waited_s = time.monotonic() - self._read_at_s
        if self._thread is not None and waited_s > READ_S_MAX:
            return (f"the API keys could not be read for {waited_s:.0f} s, those read before count",)
        return ()

    def _follow(self) -> None:
        while not self._stopping.wait(REFRESH_S):
            try:
                if self._keys.stamp() != self._stamp:
                    self._read()
                self._tell("")
                self._read_at_s = time.monotonic()
            except RegistryError as error:
                self._tell(str(error))
            except Exception as error:
                # It must go on: keys that are revoked later would count for ever.
                if not self._problem:
                    logger.exception("the API keys can't be read, those read before count")
                self._problem = type(error).__name__

    def _read(self) -> None:
        stamp, keys = self._keys.unrevoked()
        known = self._callers
        # Whoever is known stays the same object: it holds what is left of its rates.
        self._callers = {key.prefix: known.get(key.prefix) or _KeyHolder(key, self._rates) for key in keys}
        self._stamp = stamp
        if stamp[0]:
            # Last: whoever finds the door shut finds the keys.
            self.is_open = False

    def _tell(self, problem: str) -> None:
        """Tell the log of a change: that the keys can't be read, or can be again."""
        if problem and not self._problem:
            logger.error("the API keys can't be read, those read before count: %s", problem)
        elif self._problem and not problem:
            logger.info("the API keys can be read again")
        self._problem = problem


class _KeyHolder:
    """The caller that a key stands for, with what is left of its rates."""

    __slots__ = ("_bytes", "_requests", "author", "digest", "expires_at_s", "key", "prefix", "project", "scopes")

    def __init__(self, key: ApiKey, rates: Rates) -> None:
        self.key = key
        self.prefix = key.prefix
        self.project = key.project
        self.author = key.name or key.prefix
        self.digest = key.digest
        self.scopes = ALL if Scope.ADMIN in key.scopes else key.scopes
        self.expires_at_s = key.expires_at.timestamp() if key.expires_at else math.inf
        self._requests = _bucket(key.rates.requests_per_s, rates.requests_per_s)
        self._bytes = _bucket(key.rates.bytes_per_s, rates.bytes_per_s)

    def take_request(self, now_s: float) -> None:
        """Take one request from the rates. Raises RateError, with nothing taken, where one of them is spent."""
        for what, bucket in (("requests", self._requests), ("bytes", self._bytes)):
            wait_s = bucket.wait_s(now_s) if bucket is not None else 0.0
            if wait_s:
                raise RateError(
                    f"API key {self.prefix} has spent its rate of {what}: try again",
                    retry_after_s=float(math.ceil(wait_s)),
                )
        if self._requests is not None:
            self._requests.take(1)

    def charge(self, size_bytes: int) -> None:
        """Take bytes that were sent."""
        if self._bytes is not None:
            self._bytes.take(size_bytes)


def _bucket(own_per_s: float | None, common_per_s: float | None) -> TokenBucket | None:
    per_s = common_per_s if own_per_s is None else own_per_s
    return TokenBucket(per_s, time.monotonic()) if per_s else None


def _listed(scopes: Scopes) -> str:
    return " or ".join(scope.value for scope in Scope if scope in scopes)
