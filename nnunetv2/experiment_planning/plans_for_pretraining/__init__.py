"""Plans that follow another data set."""
