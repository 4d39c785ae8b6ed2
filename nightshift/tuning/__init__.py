"""A study of the settings of training: trials on the validation window, resumable, with what came of them."""
