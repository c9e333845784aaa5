"""`--sink web:8765`: the stream in a browser, from a page that this program serves."""
