"""All parts on one machine, and the doctor that checks them."""
