"""What the model must beat: each rule or method is a class under the contract of `models.baselines.base`.

Import them from their modules: one of them needs torch, and the report, which needs two others, starts without it.
"""
