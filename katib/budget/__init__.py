"""What a search costs in runs, hours and money: before it starts and while it runs."""
