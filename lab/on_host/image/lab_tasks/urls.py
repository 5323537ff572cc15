"""The lab's pages, below /lab/."""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [path("slow/", views.slow), path("leak/", views.leak)]
