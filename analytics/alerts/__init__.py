"""Telling people of what is found of experiments: who is told, by webhook and by e-mail, again until it is taken."""
