"""REMI-z: phrases as tokens, songs as slots of phrases; no torch."""
