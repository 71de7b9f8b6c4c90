"""Maps of texts: two dimensions, clusters with names, and the page, the picture or the table that shows them. Imports no
torch."""
