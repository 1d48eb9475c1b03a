"""The dashboard: pages for people, served by the API, which call the same functions as the API."""
