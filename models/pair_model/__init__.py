"""The pair model: a transformer that reads a user's history and an item together and gives one logit.

It comes after the ranker and reorders the best of a user's candidates (`models.pair_model.use`). What is added to their
scores is the logit times a weight, and both are fitted on users of the ranker's windows (`models.pair_model.fit`): the
ranker itself does not read the logits, which would look too good on the users that they were fitted on.
"""
