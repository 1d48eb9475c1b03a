"""One file a kind of layer: the Keras layer, its compiled form, and the gradient of that."""
