"""Generator of documentation: pages that come from code, docstrings and committed results.

It is part of the checkout, not of the package: ``mkdocs.yml`` calls `docs.generator.site`, and
``make verify`` calls `docs.generator.answers`.
"""
