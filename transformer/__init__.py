"""All numeric code of Tidemark: record schema, features, network, training, scoring, model bundles."""
