"""Makes the documentation a site: the pages of docs/ and a reference that is read off the code."""
