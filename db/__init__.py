"""All SQL of Tidemark: tables, guarded state changes, bulk reads and writes."""
