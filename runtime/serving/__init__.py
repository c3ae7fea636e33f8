"""Model repositories: the stages of a bundle as a model server loads them."""
