"""``unish app``: a page on which people drop a video, watch the work, look at the result, correct it and download it.

Everything that takes long is a ``unish`` command in a process of its own; this package holds the queue, the files, the
web server and the page. ``site.py`` and ``server.py`` alone import Starlette and uvicorn, which the extra ``app``
brings.
"""
