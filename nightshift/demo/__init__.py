"""The demo: the logs of a real grocery shop, and the story that `make run` tells with them."""
