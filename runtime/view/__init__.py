"""A live view in the browser, and the control API behind it: what streams show, and what is asked of them."""
