"""Whether mail is from whom it says: DKIM, SPF, DMARC, ARC, SRS. Values in, results out."""
