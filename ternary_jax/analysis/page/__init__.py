"""The HTML report of trainings: what it says (`single`, `several`), and how a page is written (`document`)."""
