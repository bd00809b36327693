"""Alerts by webhook: one signed POST.

``X-Fallom-Signature: t=<unix seconds>,v1=<hex>`` holds HMAC-SHA256 of ``<t>.<body>`` by the alert's secret, so that a
receiver knows who sent it, and that it is not an old one sent again. ``X-Fallom-Delivery`` is the same at each attempt.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time

import httpx

from analytics.alerts.outcome import Outcome, refused, retry, taken
from schemas.api.alert import Webhook

TIMEOUT_S = 10.0
RETRY_AFTER_S_MAX = 3600.0
# What says that the same request may be taken later; all of 5xx is tried again too.
_RETRYABLE = frozenset((408, 425, 429))


def post(webhook: Webhook, delivery_id: str, body: bytes, *, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Return what became of it, after ``timeout_s`` at the latest."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "fallom-server",
        "X-Fallom-Delivery": delivery_id,
        **signature_header(webhook.secret, body, int(time.time())),
    }
    try:
        status, retry_after = asyncio.run(_post(webhook.url, headers, body, timeout_s))
    except TimeoutError:
        return retry(f"no answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        # Of the error the class alone: its text may be of the receiver's making.
        return retry(f"can't be reached ({type(error).__name__})")
    return _outcome(status, retry_after)


def signature_header(secret: str | None, body: bytes, unix_s: int) -> dict[str, str]:
    """Return the header that signs a body; none without a secret."""
    if secret is None:
        return {}
    signed = hmac.new(secret.encode(), f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Fallom-Signature": f"t={unix_s},v1={signed}"}


async def _post(url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> tuple[int, str | None]:
    # One limit for all of it: a receiver that sends a byte now and then would never run into one between bytes.
    async with (
        asyncio.timeout(timeout_s),
        httpx.AsyncClient(timeout=timeout_s, follow_redirects=False) as client,
        client.stream("POST", url, content=body, headers=headers) as response,
    ):
        # The answer's body is not read: the status says all.
        return response.status_code, response.headers.get("retry-after")


def _outcome(status: int, retry_after: str | None) -> Outcome:
    if 200 <= status < 300:
        return taken()
    if status >= 500 or status in _RETRYABLE:
        seconds = min(float(retry_after), RETRY_AFTER_S_MAX) if retry_after and retry_after.isdecimal() else None
        return retry(f"HTTP {status}", seconds)
    if 300 <= status < 400:
        return refused(f"HTTP {status}: redirects are not followed; give the URL that it leads to")
    return refused(f"HTTP {status}")
