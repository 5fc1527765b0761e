"""Stores on their way to a server: what is said of them, what is staged there, and how a store is made of it."""
