"""stableft: experiments on why fine-tuning BERT on small data is unstable, and on the remedies.

They run on your own machine.
"""

__version__ = "0.1.0"
