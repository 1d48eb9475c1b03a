"""Which records are learnt from, with which outcomes."""
