"""The network: connections, credentials, downloads."""
