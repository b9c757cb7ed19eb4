"""The rankers: what is fitted on a log and serves requests. See `policies.base` for the contract."""
