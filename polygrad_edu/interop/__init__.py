"""Interop: datasets, policies and environments that other libraries know, and the Hugging Face hub."""
