"""The launcher: jobs in environments outside this process. Needs the standard library only.

>>> with Backend(find_environment("gpu-server")) as backend:            # doctest: +SKIP
...     status = backend.submit(engine_request(["segment", "scan.nrrd", "out.seg.nrrd"]), Events())
"""
