"""The questions, one file each: ``grid`` says what is run, ``REPORT`` what is made of it."""
