"""Recommend: which setting to use on a user's own data, found within a budget of minutes.

A search (`search`) runs trials (`trials`) of candidates (`candidates`) beside baselines without
fine-tuning (`baselines`). Its findings become an answer (`answer`) and a page (`page`).
"""
