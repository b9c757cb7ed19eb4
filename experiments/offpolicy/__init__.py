"""What another policy would have earned, from a log with propensities.

From a log one learns what a request would have brought under another order. What people then do of it, such as coming
back sooner, happened under the logging policy alone: visits per user and returns cannot be estimated from such a log.
"""
