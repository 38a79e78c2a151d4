"""Look into files of strangers before a runtime does: what could act is refused, what is run is what was looked at.

``.pt2``: ``archive`` reads the members, ``program`` the graph, ``expressions`` its sizes and conditions, ``operators``
names what it may call, ``payload`` holds what is declared of weights against the bytes. ``onnx_file`` does all of that
for ONNX.
"""
