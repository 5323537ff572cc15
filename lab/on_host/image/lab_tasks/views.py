"""Pages by which a test sees how a request in flight ends and how gunicorn grows."""

from __future__ import annotations

import os

from django.http import HttpRequest, JsonResponse

from .ledger import record
from .memory import hold
from .patience import last


def slow(request: HttpRequest) -> JsonResponse:
    """Answer after `seconds`; with a `key`, also in the ledger, and sooner if it is released."""
    key = request.GET.get("key", "")
    if key:
        record("start", key, "gunicorn", "")
    last(float(request.GET.get("seconds", "1")), key)
    if key:
        record("end", key, "gunicorn", "")
    return JsonResponse({"pid": os.getpid()})


def leak(request: HttpRequest) -> JsonResponse:
    """Grow the answering process by `megabytes` for good."""
    held = hold(float(request.GET.get("megabytes", "1")))
    return JsonResponse({"pid": os.getpid(), "held": held})
