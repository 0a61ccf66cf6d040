"""Conversion of two public result tables of BERT-large runs into the format of ``stableft import``."""
