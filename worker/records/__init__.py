"""Records as a model reads them: with what their events amount to, none later than the record's moment."""
