"""Tests of the engines and of comparing their rows."""
