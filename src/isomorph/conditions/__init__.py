"""What is compared, as data: the sides that a user gives, and the conditions under which they are."""
