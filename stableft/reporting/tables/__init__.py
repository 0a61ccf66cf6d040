"""Tables: one module per kind, with ``table(results, **options)`` and ``NOTE``.

`stableft.reporting.report.table` shows a kind. A new module here is a new kind; it needs no other
registration.
"""
