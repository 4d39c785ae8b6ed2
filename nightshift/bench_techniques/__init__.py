"""What each technique of docs/techniques.md does to the texts' recommendations and to the time, by production code."""
