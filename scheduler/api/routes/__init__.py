"""The endpoints of the HTTP API, one file a resource."""
