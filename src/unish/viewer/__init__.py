"""A finished reconstruction to look at: a live viewer in the browser, and one page that needs nothing else.

``record`` says what there is to see, in plain arrays; ``stage`` alone knows the library that draws it.
"""
